"""The descriptors of a run's lanes, polled together."""

from __future__ import annotations

import select
from typing import Literal

from enact_pool._core.timing import BLIND_SECONDS
from enact_pool._lanes.base import Lane
from enact_pool._system.spin_poll import poll

__all__ = ["LanePoller", "Readiness"]

# What a lane can be ready for.
Readiness = Literal["answers", "side", "exit", "commands"]


class LanePoller:
    """Waits for lanes: for answers, for the end of their workers, for room for commands.

    Attributes:
        lanes: By descriptor, the lane that it belongs to, and what its readiness means.
        doorbells: Descriptors of doorbells.
        blind: Lanes without a pidfd, whose end no descriptor signals.
        write_blocked: Lanes whose pipe has not taken all that is queued.
    """

    def __init__(self) -> None:
        # Not epoll: it would take a system call for each lane of each run, and
        # a run is often over after one answer.
        self._poller = select.poll()
        self.lanes: dict[int, tuple[Readiness, Lane]] = {}
        self.doorbells: list[int] = []
        self.blind: set[Lane] = set()
        self.write_blocked: set[Lane] = set()

    def add(self, lane: Lane) -> None:
        """Wait for answers of a lane, and for the end of its worker."""
        self.lanes[lane.answers] = "answers", lane
        self._poller.register(lane.answers, select.POLLIN)
        if lane.exit is None:
            self.blind.add(lane)
        else:
            self.lanes[lane.exit] = "exit", lane
            self._poller.register(lane.exit, select.POLLIN)

    def add_exit(self, lane: Lane) -> None:
        """Wait for the end of its worker only."""
        if lane.exit is None:
            self.blind.add(lane)
        else:
            self.lanes[lane.exit] = "exit", lane
            self._poller.register(lane.exit, select.POLLIN)

    def add_side(self, lane: Lane) -> None:
        """Wait for what comes over the side channel of a lane."""
        self.lanes[lane.side.fileno()] = "side", lane
        self._poller.register(lane.side.fileno(), select.POLLIN)

    def add_write_blocked(self, lane: Lane) -> None:
        """Wait for room in the commands pipe of a lane."""
        self.write_blocked.add(lane)
        self.lanes[lane.commands] = "commands", lane
        self._poller.register(lane.commands, select.POLLOUT)

    def remove_write_blocked(self, lane: Lane) -> None:
        """Stop waiting for room in its commands pipe: it has taken all."""
        if lane in self.write_blocked:
            self.write_blocked.discard(lane)
            self._remove(lane.commands)

    def remove_side(self, lane: Lane) -> None:
        """Stop waiting for its side channel."""
        self._remove(lane.side.fileno())

    def remove_answers(self, lane: Lane) -> None:
        """Wait for the end of its worker only: there will be no more answers."""
        self._remove(lane.answers)

    def remove(self, lane: Lane) -> None:
        """Stop waiting for this lane."""
        self.blind.discard(lane)
        self.remove_write_blocked(lane)
        for descriptor in (lane.answers, lane.exit, lane.side.fileno()):
            if descriptor is not None:
                self._remove(descriptor)

    def add_doorbell(self, descriptor: int) -> None:
        """Return from `wait` when this can be read, too."""
        self.doorbells.append(descriptor)
        self._poller.register(descriptor, select.POLLIN)

    def _remove(self, descriptor: int) -> None:
        if self.lanes.pop(descriptor, None) is not None:
            try:
                self._poller.unregister(descriptor)
            except KeyError:
                return  # an interrupt has come before it was registered

    def wait(self, seconds: float, *, spin: bool) -> list[tuple[int, int]]:
        """Return the descriptors that are ready, after at most so many seconds.

        Args:
            seconds: The time-out.
            spin: Do not sleep at first.
        """
        if self.blind:
            seconds = min(seconds, BLIND_SECONDS)
        return poll(self._poller, seconds * 1000, spin=spin)
