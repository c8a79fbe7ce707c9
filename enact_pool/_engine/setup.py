"""What all callables of a run have in common, ready to be sent: once to each lane."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from enact_pool._engine.options import Options
from enact_pool._engine.sources import TaskSource
from enact_pool._lanes.lane import Lane
from enact_pool._model.results import Err
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.texts import describe
from enact_pool._wire.frames import (
    COMMON_CAPTURE_OUTPUT,
    COMMON_EXCEPTIONS,
    COMMON_FORWARD_LOGS,
    COMMON_MAX_MEMORY,
    COMMON_PARCEL,
    COMMON_SHARED,
    COMMON_SHOW_OUTPUTS,
    COMMON_WRAPPED,
    LARGE_BYTES,
    NONE,
)

if TYPE_CHECKING:
    from enact_pool._events.live_events import CallWrapperPickle
    from enact_pool._ipc.large_value import LargeValue
    from enact_pool._mirror.caller.items import Manifest

__all__ = ["Brief"]

_NOTHING = COMMON_SHARED.to_bytes(2, "little") + NONE


class Brief:
    """The common part of a work, pickled once; in a parcel if it is large.

    `refusal` says why no callable can be run, if it cannot be pickled.
    """

    def __init__(
        self,
        work: TaskSource,
        options: Options,
        *,
        show_outputs: bool,
        call_wrappers: list[CallWrapperPickle],
    ) -> None:
        self.refusal: Err | None = None
        self._wraps_calls = bool(call_wrappers)
        self._payload = b""
        # What a worker needs to load it.
        self.manifests: tuple[Manifest, ...] = ()
        self._parcel: LargeValue | None = None
        self._lanes: set[Lane] = set()
        # Whether something comes from the workers beside their answers.
        self._brings_mail = options.capture_output or options.forward_logs
        buffers: list[pickle.PickleBuffer] = []
        try:
            flags, payload, manifest = work.pickle_common(buffers)
            if buffers or len(payload) >= LARGE_BYTES:
                self._parcel = _parcel_if_large(payload, buffers)
            if self._parcel is not None:
                flags, payload = flags | COMMON_PARCEL, self._parcel.layout
            elif buffers:
                flags, payload, manifest = work.pickle_common(None)
        except BaseException as error:
            raise_interrupt(error)
            self.refusal = Err(*describe(error, f"the {work.common_is} cannot be pickled: "))
        else:
            needs = [needs for _, needs in call_wrappers]
            self.manifests = manifest, *map(work.snapshot.manifest, needs)
            if work.wants_exceptions:
                flags |= COMMON_EXCEPTIONS
            if show_outputs:
                flags |= COMMON_SHOW_OUTPUTS
            if call_wrappers:
                flags |= COMMON_WRAPPED
                pickled = pickle.dumps([wrapper for wrapper, _ in call_wrappers])
                payload = len(pickled).to_bytes(8, "little") + pickled + payload
            if options.capture_output:
                flags |= COMMON_CAPTURE_OUTPUT
            if options.forward_logs:
                from enact_pool._observe.log_receiver import levels  # for those who want it

                flags |= COMMON_FORWARD_LOGS
                pickled = pickle.dumps(levels())
                payload = len(pickled).to_bytes(8, "little") + pickled + payload
            max_memory = options.limits.max_memory
            if max_memory is not None:
                flags |= COMMON_MAX_MEMORY
                payload = min(max_memory, (1 << 64) - 1).to_bytes(8, "little") + payload
            self._payload = flags.to_bytes(2, "little") + payload

    def payload(self, tasks: list[int], items: bytes) -> bytes:
        """A batch of these tasks, whose items are pickled: call wrappers are told the tasks."""
        return pickle.dumps((tasks, items)) if self._wraps_calls else items

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
        if self._brings_mail:
            lane.clear_mail()
        if self._parcel is None:
            return False
        # Its memory is free when nobody has it any more.
        lane.queue_common(_NOTHING)
        return True

    def close(self) -> None:
        """Let go of it."""
        if self._parcel is not None:
            self._parcel.close()


def _parcel_if_large(payload: bytes, buffers: list[pickle.PickleBuffer]) -> LargeValue | None:
    try:
        from enact_pool._ipc.large_value import large_value_of  # for those who need it
    except OSError:
        return None  # no descriptor is to be had to read it with
    return large_value_of(payload, buffers)
