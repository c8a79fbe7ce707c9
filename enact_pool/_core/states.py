"""States of lanes in a pool, and what raises if one changes in a way that it cannot."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from attrs import define

__all__ = ["IllegalTransition", "Lease", "LeaseState"]

RunT = TypeVar("RunT")

LeaseState = Literal["leased", "offered", "idle", "draining", "doomed"]

_NEXT: dict[LeaseState, frozenset[LeaseState]] = {
    "leased": frozenset(("idle", "offered", "draining", "doomed")),
    "offered": frozenset(("leased", "idle", "draining", "doomed")),
    "idle": frozenset(("leased", "draining", "doomed")),
    "draining": frozenset(("doomed",)),
    "doomed": frozenset(("doomed",)),
}


class IllegalTransition(RuntimeError):
    """Something cannot go from one state to another: a bug in the library."""


@define
class Lease(Generic[RunT]):
    """The state of one lane; `leasing` has the table.

    Attributes:
        number: The place of the lane in the pool.
        state: Its state.
        run: The run that has it, if it is leased or offered, or had it when it was drained.
        since: Since when, on the monotonic clock.
    """

    number: int
    state: LeaseState
    run: RunT | None
    since: float

    def become(self, state: LeaseState, run: RunT | None, now: float) -> None:
        """Change the state. Raises `IllegalTransition`."""
        if state not in _NEXT[self.state]:
            raise IllegalTransition(f"a lane that is {self.state} cannot become {state}")
        self.state, self.run, self.since = state, run, now
