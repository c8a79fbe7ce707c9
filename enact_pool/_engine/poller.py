"""The descriptors of a run's lanes, waited for together."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Literal

from enact_pool._lanes.lane import Lane
from enact_pool._system.spin_poll import poll

__all__ = ["LanePoller"]

# How often to look for the death of workers that no descriptor tells of.
_BLIND_SECONDS = 0.05

# What a lane can be ready for. Neither a death nor mail can wait.
Readiness = Literal["answers", "mail", "exit", "commands"]
_URGENT = ("exit", "mail")


class LanePoller:
    """What lanes are ready for: giving answers, being buried, taking more commands."""

    def __init__(self) -> None:
        # Not epoll: it would take a system call for each lane of each run, and
        # a run is often over after one answer.
        self._poller = select.poll()
        self._lanes: dict[int, tuple[Readiness, Lane]] = {}
        self._doorbells: list[int] = []
        self._blind: set[Lane] = set()
        # Those that have not taken all that there is for them.
        self._clogged: set[Lane] = set()
        # Whether there was a doorbell among what was ready last.
        self.is_rung = False

    def add(self, lane: Lane) -> None:
        """Watch the lane for answers and for its worker's death."""
        self._add(lane.answers, "answers", lane)
        self.add_exit(lane)

    def add_exit(self, lane: Lane) -> None:
        """Watch the lane for its worker's death only."""
        if lane.exit is None:
            self._blind.add(lane)
        else:
            self._add(lane.exit, "exit", lane)

    def add_mail(self, lane: Lane) -> None:
        """Watch the lane for what comes beside its answers, which is told at once."""
        self._add(lane.mail.fileno(), "mail", lane)

    def add_clogged(self, lane: Lane) -> None:
        """Watch the lane for room in its commands pipe."""
        self._clogged.add(lane)
        self._add(lane.commands, "commands", lane, select.POLLOUT)

    def remove_clogged(self, lane: Lane) -> None:
        """It has taken all that there was."""
        if lane in self._clogged:
            self._clogged.discard(lane)
            self._remove(lane.commands)

    def remove_mail(self, lane: Lane) -> None:
        """Watch it for mail no more."""
        self._remove(lane.mail.fileno())

    def remove_answers(self, lane: Lane) -> None:
        """Watch the lane for its worker's death only: it gives no more answers."""
        self._remove(lane.answers)

    def remove(self, lane: Lane) -> None:
        """Watch the lane no more."""
        self._blind.discard(lane)
        self.remove_clogged(lane)
        for descriptor in (lane.answers, lane.exit, lane.mail.fileno()):
            if descriptor is not None:
                self._remove(descriptor)

    def add_doorbell(self, descriptor: int) -> None:
        """Return from `wait` and `nap` when this can be read, too."""
        self._doorbells.append(descriptor)
        self._poller.register(descriptor, select.POLLIN)

    def _add(
        self, descriptor: int, readiness: Readiness, lane: Lane, event: int = select.POLLIN
    ) -> None:
        self._lanes[descriptor] = readiness, lane
        self._poller.register(descriptor, event)

    def _remove(self, descriptor: int) -> None:
        if self._lanes.pop(descriptor, None) is not None:
            try:
                self._poller.unregister(descriptor)
            except KeyError:
                return  # an interrupt has come before it was registered

    @property
    def has_clogged(self) -> bool:
        """Whether a lane has not taken all that there is for it."""
        return bool(self._clogged)

    def nap(self, seconds: float) -> None:
        """Let answers wait for so long, unless a worker dies, or logs something."""
        urgent = select.poll()
        for descriptor in self._doorbells:
            urgent.register(descriptor, select.POLLIN)
        for descriptor, (readiness, _) in self._lanes.items():
            if readiness in _URGENT:
                urgent.register(descriptor, select.POLLIN)
        urgent.poll(seconds * 1000)

    def wait(
        self, seconds: float, unlocked: AbstractContextManager[object], *, spin: bool
    ) -> Iterator[tuple[Readiness, Lane]]:
        """What is ready, after at most so many seconds, at first without sleeping if `spin`.

        It waits within `unlocked`, where others may do something with the lanes.
        Lanes may be added and removed meanwhile; what is removed is not told.
        """
        if self._blind:
            seconds = min(seconds, _BLIND_SECONDS)
        with unlocked:
            ready = poll(self._poller, seconds * 1000, spin=spin)
        self.is_rung = False
        for descriptor, _ in ready:
            if descriptor in self._lanes:
                yield self._lanes[descriptor]
            elif descriptor in self._doorbells:
                self.is_rung = True
        for lane in list(self._blind):
            if lane in self._blind and lane.has_exited():
                yield "exit", lane
