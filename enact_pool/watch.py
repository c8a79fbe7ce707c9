"""The descriptors of a run's lanes, waited for together."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Literal

from enact_pool.lane import Lane
from enact_pool.spinning import poll

__all__ = ["Watch"]

# How often to look for the death of workers that no descriptor tells of.
_BLIND_SECONDS = 0.05


class Watch:
    """What lanes are ready for: giving answers, being buried, taking more commands."""

    def __init__(self) -> None:
        # Not epoll: it would take a system call for each lane of each run, and
        # a run is often over after one answer.
        self._poller = select.poll()
        # For what cannot wait: deaths, log records, and lanes that others leave.
        self._urgent = select.poll()
        self._answers: dict[int, Lane] = {}
        self._exits: dict[int, Lane] = {}
        self._clogged: dict[int, Lane] = {}
        self._mail: dict[int, Lane] = {}
        self._blind: set[Lane] = set()
        # Whether there was a doorbell among what was ready last.
        self.is_rung = False

    def add(self, lane: Lane) -> None:
        """Watch the lane for answers and for its worker's death."""
        self._register(self._answers, lane.answers, lane, select.POLLIN)
        self.add_exit(lane)

    def add_exit(self, lane: Lane) -> None:
        """Watch the lane for its worker's death only."""
        if lane.exit is None:
            self._blind.add(lane)
        else:
            self._register(self._exits, lane.exit, lane, select.POLLIN)
            self._urgent.register(lane.exit, select.POLLIN)

    def add_mail(self, lane: Lane) -> None:
        """Watch the lane for what comes beside its answers, which is told at once."""
        self._register(self._mail, lane.mail.fileno(), lane, select.POLLIN)
        self._urgent.register(lane.mail.fileno(), select.POLLIN)

    def remove_mail(self, lane: Lane) -> None:
        """Watch it for that no more."""
        if lane.mail.fileno() in self._mail:
            _forget(self._urgent, lane.mail.fileno())
        self._unregister(self._mail, lane.mail.fileno())

    def add_clogged(self, lane: Lane) -> None:
        """Watch the lane for room in its commands pipe."""
        if lane.commands not in self._clogged:
            self._register(self._clogged, lane.commands, lane, select.POLLOUT)

    def remove_clogged(self, lane: Lane) -> None:
        """It has taken all that there was."""
        self._unregister(self._clogged, lane.commands)

    def remove(self, lane: Lane) -> None:
        """Watch the lane no more."""
        self._blind.discard(lane)
        self._unregister(self._answers, lane.answers)
        if lane.exit in self._exits:
            _forget(self._urgent, lane.exit)
        self._unregister(self._exits, lane.exit)
        self._unregister(self._clogged, lane.commands)
        self.remove_mail(lane)

    def remove_answers(self, lane: Lane) -> None:
        """Watch the lane for its worker's death only: it gives no more answers."""
        self._unregister(self._answers, lane.answers)

    def add_doorbell(self, descriptor: int) -> None:
        """Return from `wait` and `nap` when this can be read, too."""
        self._poller.register(descriptor, select.POLLIN)
        self._urgent.register(descriptor, select.POLLIN)

    def _register(self, lanes: dict[int, Lane], descriptor: int, lane: Lane, event: int) -> None:
        lanes[descriptor] = lane
        self._poller.register(descriptor, event)

    def _unregister(self, lanes: dict[int, Lane], descriptor: int | None) -> None:
        if descriptor is not None and lanes.pop(descriptor, None) is not None:
            _forget(self._poller, descriptor)

    @property
    def has_clogged(self) -> bool:
        """Whether a lane has not taken all that there is for it."""
        return bool(self._clogged)

    def nap(self, seconds: float) -> None:
        """Let answers wait for so long, unless a worker dies, or logs something."""
        self._urgent.poll(seconds * 1000)

    def wait(
        self, seconds: float, unlocked: AbstractContextManager[object], *, spin: bool
    ) -> Iterator[tuple[Literal["answers", "mail", "exit", "commands"], Lane]]:
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
            if descriptor in self._answers:
                yield "answers", self._answers[descriptor]
            elif descriptor in self._mail:
                yield "mail", self._mail[descriptor]
            elif descriptor in self._exits:
                yield "exit", self._exits[descriptor]
            elif descriptor in self._clogged:
                yield "commands", self._clogged[descriptor]
            else:
                self.is_rung = True
        for lane in list(self._blind):
            if lane in self._blind and lane.has_exited():
                yield "exit", lane


def _forget(poller: select.poll, descriptor: int) -> None:
    try:
        poller.unregister(descriptor)
    except KeyError:
        return  # an interrupt has come before it was registered, or when it no longer was
