"""Events and log records that wait until user code may be called.

The engine calls observers in the middle of its work. Observers must not call user code then: it may
take any time, fork, or start runs of its own. So they add calls to a `Delivery`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from enact_pool._python.interrupts import raise_interrupt

__all__ = ["Delivery"]


class Delivery:
    """The pending calls of all observers of one run.

    Attributes:
        pending: The pending calls: the function and its argument.
        error: What the first failed call raised. The other calls are made nevertheless.
    """

    def __init__(self) -> None:
        self.pending: deque[tuple[Callable[[Any], object], Any]] = deque()
        self.error: Exception | None = None

    def add(self, receive: Callable[[Any], object], argument: Any) -> None:
        """Call `receive(argument)` at the next moment where user code may run."""
        self.pending.append((receive, argument))

    def deliver(self) -> None:
        """Make the pending calls."""
        while self.pending:
            self.call(*self.pending.popleft())

    # Make the calls that are still pending when the run ends.
    run_ended = deliver

    def call(self, receive: Callable[[Any], object], argument: Any) -> None:
        """Call `receive(argument)` now. Raises no `Exception` except that of a signal handler."""
        try:
            receive(argument)
        except Exception as error:
            raise_interrupt(error)
            if self.error is None:
                self.error = error
