"""The setup of a run: pickled once, and sent to each lane once."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from enact_pool._core.observer import CallWrapperPickle, Hooks
from enact_pool._engine.task_source import TaskSource
from enact_pool._lanes.base import Lane
from enact_pool._model.results import Err
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe
from enact_pool._wire.frames import LARGE_BYTES
from enact_pool._wire.setup import NO_SETUP

if TYPE_CHECKING:
    from enact_pool._ipc.large_value import LargeValue
    from enact_pool._mirror.caller.items import Manifest

__all__ = ["NO_EXTRAS", "RunExtras", "SetupSender"]


class RunExtras:
    """What workers are asked for besides outcomes: see `RunSetup` for the attributes."""

    __slots__ = ("captures_output", "log_levels", "max_memory", "shows_outputs")

    def __init__(
        self,
        *,
        shows_outputs: bool = False,
        captures_output: bool = False,
        max_memory: int | None = None,
        log_levels: dict[str, int] | None = None,
    ) -> None:
        self.shows_outputs = shows_outputs
        self.captures_output = captures_output
        self.max_memory = max_memory
        self.log_levels = log_levels


# Of runs that ask for nothing.
NO_EXTRAS = RunExtras()


class SetupSender:
    """Sends the setup of a run to its lanes.

    Attributes:
        refusal: Why no task can be run, if the setup cannot be pickled.
        is_large: Whether it has a large value, which is to be released.
        needs_taking_back: Whether lanes have to forget it when the run is over.
        wraps_calls: Whether calls are wrapped: then `wrapped_batch` makes the batches.
        manifests: What a worker needs to load the setup.
    """

    def __init__(self, source: TaskSource, extras: RunExtras, hooks: Hooks) -> None:
        self.refusal: Err | None = None
        self.manifests: tuple[Manifest, ...] = ()
        self._encoded = b""
        self._large: LargeValue | None = None
        self.is_large = False
        self._lanes: set[Lane] = set()
        # Whether something comes over the side channel besides large values.
        self._uses_side = extras.captures_output or extras.log_levels is not None
        self.needs_taking_back = self._uses_side
        wrappers: list[CallWrapperPickle] = []
        for hook in hooks.call_wrappers:
            wrappers += hook()
        self.wraps_calls = bool(wrappers)
        buffers: list[pickle.PickleBuffer] = []
        try:
            setup, manifest = source.setup(buffers)
            if buffers or len(setup.payload) >= LARGE_BYTES:
                self._large = _large_value_of(setup.payload, buffers)
            if self._large is not None:
                setup.payload, setup.is_large = self._large.layout, True
                self.is_large = self.needs_taking_back = True
            elif buffers:
                setup, manifest = source.setup(None)
        except BaseException as error:
            raise_interrupt(error)
            self.refusal = Err(*describe(error, f"the {source.common_is} cannot be pickled: "))
            return
        self.manifests = (manifest,)
        if wrappers:
            setup.wrappers = [pickled for pickled, _ in wrappers]
            self.manifests += tuple(source.manifest(needs) for _, needs in wrappers)
        setup.sends_exceptions = source.sends_exceptions
        setup.shows_outputs = extras.shows_outputs
        setup.captures_output = extras.captures_output
        setup.max_memory = extras.max_memory
        setup.log_levels = extras.log_levels
        self._encoded = setup.encode()

    def wrapped_batch(self, tasks: list[int], items: bytes) -> bytes:
        """Return the payload of a batch whose calls are wrapped, and whose items are pickled."""
        # Call wrappers are given the numbers of the tasks.
        return pickle.dumps((tasks, items))

    def send(self, lane: Lane) -> None:
        """Queue the setup for a lane that does not have it. Raises `OSError`."""
        if lane not in self._lanes:
            lane.queue_setup(self._encoded, self._large)
            self._lanes.add(lane)

    def take_back(self, lane: Lane) -> bool:
        """Make an idle lane drop it, if it is large; return whether a frame was queued."""
        if lane not in self._lanes:
            return False
        self._lanes.remove(lane)
        if self._uses_side:
            lane.clear_side()
        if self._large is None:
            return False
        # Its memory is free when no process has it any more.
        lane.queue_setup(NO_SETUP)
        return True

    def close(self) -> None:
        """Release it."""
        if self._large is not None:
            self._large.close()


def _large_value_of(payload: bytes, buffers: list[pickle.PickleBuffer]) -> LargeValue | None:
    try:
        from enact_pool._ipc.large_value import large_value_of  # not for every run
    except OSError:
        return None  # no descriptor is left to read the module with
    return large_value_of(payload, buffers)
