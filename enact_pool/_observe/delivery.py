"""What waits until code of the user's may be called: events, and log records.

Observers learn of something while the engine is at work, and must not call code of the user's
then, which may take any time, fork, or run tasks of its own. So they put it here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from enact_pool._python.interrupts import raise_interrupt

__all__ = ["Delivery"]


class Delivery:
    """The pending calls of the observers of one run, which share it.

    Attributes:
        pending: The calls that wait: what to call, and with what.
        error: What the first call that failed has raised. The others are made all the same.
    """

    def __init__(self) -> None:
        self.pending: deque[tuple[Callable[[Any], object], Any]] = deque()
        self.error: Exception | None = None

    def add(self, receive: Callable[[Any], object], what: Any) -> None:
        """Have `receive(what)` called at the next moment where code of the user's may run."""
        self.pending.append((receive, what))

    def deliver(self) -> None:
        """Make the calls that wait."""
        while self.pending:
            self.call(*self.pending.popleft())

    # What is left when the run ends.
    run_ended = deliver

    def call(self, receive: Callable[[Any], object], what: Any) -> None:
        """Call it now. Raises only what a signal handler raises, and no `Exception` else."""
        try:
            receive(what)
        except Exception as error:
            raise_interrupt(error)
            if self.error is None:
                self.error = error
