"""What all callables of a run have in common, ready to be sent: once to each lane."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from enact_pool.interrupts import is_interrupt
from enact_pool.lane import Lane
from enact_pool.results import Err
from enact_pool.texts import describe
from enact_pool.wire import (
    COMMON_EXCEPTIONS,
    COMMON_MAX_MEMORY,
    COMMON_PARCEL,
    COMMON_SHARED,
    COMMON_SHOW_OUTPUTS,
    LARGE_BYTES,
    NONE,
)
from enact_pool.work import Work

if TYPE_CHECKING:
    from enact_pool.parcel import Parcel

__all__ = ["Brief"]

_NOTHING = bytes([COMMON_SHARED]) + NONE


class Brief:
    """The common part of a work, pickled once; in a parcel if it is large.

    `refusal` says why no callable can be run, if it cannot be pickled.
    """

    def __init__(self, work: Work, *, show_outputs: bool, max_memory: int | None) -> None:
        self.refusal: Err | None = None
        self._payload = b""
        self._parcel: Parcel | None = None
        self._lanes: set[Lane] = set()
        buffers: list[pickle.PickleBuffer] = []
        try:
            flags, payload = work.pickle_common(buffers)
            if buffers or len(payload) >= LARGE_BYTES:
                self._parcel = _parcel_if_large(payload, buffers)
            if self._parcel is not None:
                flags, payload = flags | COMMON_PARCEL, self._parcel.layout
            elif buffers:
                flags, payload = work.pickle_common(None)
        except BaseException as error:
            if is_interrupt(error):
                raise
            self.refusal = Err(*describe(error, f"the {work.common_is} cannot be pickled: "))
        else:
            if work.wants_exceptions:
                flags |= COMMON_EXCEPTIONS
            if show_outputs:
                flags |= COMMON_SHOW_OUTPUTS
            if max_memory is not None:
                flags |= COMMON_MAX_MEMORY
                payload = min(max_memory, (1 << 64) - 1).to_bytes(8, "little") + payload
            self._payload = bytes([flags]) + payload

    def give(self, lane: Lane) -> None:
        """Queue it for a lane that does not have it. Raises `OSError` if it cannot be sent."""
        if lane not in self._lanes:
            lane.queue_common(self._payload, self._parcel)
            self._lanes.add(lane)

    def take_back(self, lane: Lane) -> bool:
        """Let a lane that is idle forget it, if it is large; gives whether anything is queued."""
        if lane not in self._lanes:
            return False
        self._lanes.remove(lane)
        if self._parcel is None:
            return False
        # Its memory is free when nobody has it any more.
        lane.queue_common(_NOTHING)
        return True

    def close(self) -> None:
        """Let go of it."""
        if self._parcel is not None:
            self._parcel.close()


def _parcel_if_large(payload: bytes, buffers: list[pickle.PickleBuffer]) -> Parcel | None:
    try:
        from enact_pool.parcel import parcel_if_large  # for those who need it
    except OSError:
        return None  # no descriptor is to be had to read it with
    return parcel_if_large(payload, buffers)
