"""Who has which lane of a pool: the decisions of a `LanePool`, which calls this under its lock.

Nothing here waits, starts or kills. A method changes the book, and returns what is to be done
about it outside the lock. The time is an argument.

A lane's state, and what it may become (anything else raises `IllegalTransition`):

    state      what it means                                          next
    --------   ----------------------------------------------------   -------------------------
    leased     one run uses it, or starts its worker                  idle offered draining
                                                                      doomed gone
    offered    it was left for a run that waits, and has not          leased offered idle
               noticed yet                                            draining doomed gone
    idle       no run has it                                          leased draining doomed gone
    draining   its worker gets no more tasks, and ends                doomed gone
    doomed     its worker is being killed                             gone
    gone       its worker was waited for; it is not in the book
"""

from __future__ import annotations

from itertools import count
from typing import Generic, Literal, TypeVar

from attrs import define, field, frozen

from enact_pool._core.sharing import Lease, LeaseHolder, LeaseState, Sharing
from enact_pool._core.states import IllegalTransition

__all__ = ["LeaseBook", "Left"]


LaneT = TypeVar("LaneT")
RunT = TypeVar("RunT", bound=LeaseHolder)

_NEXT: dict[LeaseState, frozenset[LeaseState]] = {
    "leased": frozenset(("idle", "offered", "draining", "doomed")),
    # To another run, if the one that it was left for has ended.
    "offered": frozenset(("leased", "offered", "idle", "draining", "doomed")),
    "idle": frozenset(("leased", "draining", "doomed")),
    "draining": frozenset(("doomed",)),
    "doomed": frozenset(("doomed",)),
}


def _change(lease: Lease[RunT], state: LeaseState, run: RunT | None) -> None:
    if state not in _NEXT[lease.state]:
        raise IllegalTransition(f"a lane that is {lease.state} cannot become {state}")
    lease.state, lease.run = state, run


def _lease_to(lease: Lease[RunT], run: RunT, now: float) -> None:
    _change(lease, "leased", run)
    lease.since = now


@frozen
class Left(Generic[LaneT, RunT]):
    """What a run that ends leaves behind.

    Attributes:
        held: Lanes that it has not released; those that it has not drained are doomed.
        offered: Lanes that were offered to it, to be released.
        surplus: Lanes above the limit, which are drained.
        next_waiting: A run whose doorbell is to be rung.
    """

    held: list[LaneT]
    offered: list[LaneT]
    surplus: list[LaneT]
    next_waiting: RunT | None


@define
class LeaseBook(Sharing[LaneT, RunT]):
    """Which lane is in which state, and which run has it."""

    # Idle lanes; the one that was used last is at the end: its worker's memory is in the caches.
    # The states are what counts: an interrupt between two changes may leave a lane in here that
    # is not idle. It never leaves an idle lane out.
    _idle: list[LaneT] = field(factory=list, init=False)

    # Runs

    def leave(self, run: RunT, now: float) -> Left[LaneT, RunT] | None:
        """End a run.

        Returns:
            What is to be done; then `forget` the run. None if nothing is: it is forgotten.
        """
        if run in self.waiting:
            self.waiting.remove(run)
        held = []
        offered = []
        for lane, lease in self._leases.items():
            if lease.run is run:
                if lease.state == "offered":
                    offered.append(lane)
                # (An interrupt may have come when a lane was idle, and its run not yet forgotten.)
                elif lease.state != "idle":
                    if lease.state == "leased":
                        _change(lease, "doomed", run)
                    held.append(lane)
        surplus: list[LaneT] = []
        # What was needed above the limit is not when the run that was in the way is gone.
        if len(self._leases) > self.limit and not self._is_nested(self.runs.get(run)):
            doomed = sum(self.state(lane) == "doomed" for lane in held)
            while self._idle and self._has_more_than(self.limit + doomed):
                lane = self._idle[-1]
                if self.state(lane) == "idle":
                    # If an interrupt comes now, it is among those that are held the next time.
                    _change(self._leases[lane], "draining", run)
                    surplus.append(lane)
                self._idle.pop()
        next_waiting = None
        # Its doorbell may have been rung, and it has not asked since.
        if self.waiting and (self._idle or not self._has_more_than(self.limit - 1)):
            next_waiting = self._pop_waiting(now)
        if not (held or offered or surplus or next_waiting is not None):
            self.runs.pop(run, None)
            return None
        return Left(held, offered, surplus, next_waiting)

    def forget(self, run: RunT) -> None:
        """Forget a run that has left."""
        self.runs.pop(run, None)

    # Lanes

    def acquire(self, run: RunT, now: float) -> LaneT | Literal["start", "wait"]:
        """Lease an idle lane to a run.

        Returns:
            The lane; or "start" if a new one may be started: see `start`; or "wait".
        """
        while self._idle:
            lane = self._idle[-1]
            lease = self._leases.get(lane)
            if lease is not None and lease.state == "idle":
                _lease_to(lease, run, now)
                self._idle.pop()
                return lane
            self._idle.pop()
        if self._present(now) >= self.limit and not self._must_start(run):
            return "wait"
        return "start"

    def wait(self, run: RunT) -> None:
        """Note that a run waits: its doorbell is rung when it is worth asking again."""
        if run not in self.waiting:
            self.waiting.append(run)

    def next_number(self) -> int:
        """Return the lowest number that no lane has, of those whose worker goes on."""
        taken = {lease.number for lease in self._leases.values() if lease.state != "draining"}
        return next(number for number in count() if number not in taken)

    def start(self, lane: LaneT, number: int, run: RunT, now: float) -> None:
        """Add a lane that a run is about to start."""
        self._leases[lane] = Lease(number, "leased", run, now)

    def collect(self, run: RunT, now: float) -> list[LaneT]:
        """Lease to a run the lanes that were offered to it."""
        lanes = self._offered_to(run)
        for lane in lanes:
            _lease_to(self._leases[lane], run, now)
        return lanes

    def _offered_to(self, run: RunT) -> list[LaneT]:
        return [
            lane
            for lane, lease in self._leases.items()
            if lease.state == "offered" and lease.run is run
        ]

    def release(self, lane: LaneT, thread: int, now: float) -> RunT | Literal["idle", "drain"]:
        """Take back a lane that has nothing to do.

        Returns:
            The run that it was offered to, whose doorbell is to be rung; or "idle"; or "drain" if
            its worker is to end.
        """
        lease = self._leases.get(lane)
        if lease is None or lease.state in ("draining", "doomed"):
            return "drain"
        run = self._pop_waiting(now) if self.waiting else None
        if run is not None:
            # Offered, not put back: the run that releases it would often be the first to
            # lease it again.
            _change(lease, "offered", run)
            return run
        # One above the limit is kept for the next nested run.
        if not self.closed and (not self._has_more_than(self.limit) or self._is_nested(thread)):
            self._idle.append(lane)
            _change(lease, "idle", None)
            return "idle"
        _change(lease, "draining", lease.run)
        return "drain"

    def drained(self, lane: LaneT) -> None:
        """Note that a run has drained a lane: its worker does what it was sent, and ends."""
        lease = self._leases.get(lane)
        if lease is not None and lease.state != "doomed":
            _change(lease, "draining", lease.run)

    def discard(self, lane: LaneT, now: float) -> RunT | None:
        """Forget a lane that is gone; return a run whose doorbell is to be rung, or None."""
        self._leases.pop(lane, None)
        while lane in self._idle:
            self._idle.remove(lane)
        return self._pop_waiting(now)

    def _pop_waiting(self, now: float) -> RunT | None:
        """Remove and return the first waiting run that is not away; None if there is none."""
        for run in self.waiting:
            if not self._is_away(run, now):
                self.waiting.remove(run)
                return run
        return None

    def knows(self, run: RunT) -> bool:
        """Return whether the doorbell of a run will be rung when there is a lane for it."""
        return run in self.waiting or bool(self._offered_to(run))

    # The end

    def close(self) -> list[LaneT]:
        """Refuse new runs; drain the lanes that no run has, and return them."""
        self.closed = True
        return self._drain(
            [lane for lane, lease in self._leases.items() if lease.run not in self.runs]
        )

    def drain_idle(self) -> list[LaneT]:
        """Drain the idle lanes; return them, and those that an interrupt has left undrained."""
        return self._drain([lane for lane, lease in self._leases.items() if lease.run is None])

    def _drain(self, lanes: list[LaneT]) -> list[LaneT]:
        for lane in lanes:
            lease = self._leases[lane]
            if lease.state not in ("draining", "doomed"):
                _change(lease, "draining", lease.run)
        self._idle.clear()
        return lanes

    def doom(self, *, only_leased: bool = False) -> list[LaneT]:
        """Return the lanes that are to be killed: all, or those that runs have."""
        doomed = []
        for lane, lease in self._leases.items():
            if not only_leased or lease.run in self.runs:
                _change(lease, "doomed", lease.run)
                doomed.append(lane)
        return doomed

    # For tests and inspection

    def lanes(self) -> list[LaneT]:
        """Return all lanes."""
        return list(self._leases)

    def idle(self) -> list[LaneT]:
        """Return the idle lanes."""
        return [lane for lane, lease in self._leases.items() if lease.state == "idle"]

    def state(self, lane: LaneT) -> LeaseState | Literal["gone"]:
        """Return the state of a lane."""
        lease = self._leases.get(lane)
        return "gone" if lease is None else lease.state

    def validate(self) -> None:
        """Raise `AssertionError` if the book contradicts itself; for tests."""
        if not set(self.idle()) <= set(self._idle):
            raise AssertionError("an idle lane would never be leased")
        for lane, lease in self._leases.items():
            if lease.state in ("leased", "offered") and lease.run is None:
                raise AssertionError(f"{lane} is {lease.state} by no run")
        if len(set(self.waiting)) != len(self.waiting):
            raise AssertionError("a run waits twice")
        if not set(self.waiting) <= self.runs.keys():
            raise AssertionError("a run waits that has not begun")
