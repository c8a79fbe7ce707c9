"""The progress of a run, shown while the run goes on.

The loop of the run updates it, and wakes up often enough: it needs no thread. Only runs that show
their progress import this module.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from attrs import define, field

from enact_pool._core.observer import RunInfo
from enact_pool._model.results import ParallelResult, Tally
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._wire.worker_config import nesting

__all__ = ["Display", "RunProgress", "check_progress"]

# Seconds between updates: with new results, and without (which shows that time passes).
_UPDATE_SECONDS = 0.1
_TICK_SECONDS = 0.5


def check_progress(progress: object) -> None:
    """Raise `TypeError` for a wrong option, and `ImportError` if tqdm is not installed."""
    if progress is True or _is_forced(progress):
        if find_spec("tqdm") is None:
            raise ImportError(
                f"progress={progress!r} needs tqdm: pip install 'enact_pool[progress]'", name="tqdm"
            )
    elif progress is not False and not callable(getattr(progress, "update", None)):
        raise TypeError(
            f"progress must be True, False, 'force' or a bar with update(n), not {progress!r}"
        )


def _is_forced(progress: object) -> bool:
    # tqdm's bars cannot be compared with objects of other types.
    return isinstance(progress, str) and progress == "force"


class Display(Protocol):
    """Shows the progress of one run."""

    def advance(self, n: int, tally: Tally, total: int | None) -> None:
        """Show `n` more results: `tally` counts all, `total` is how many there will be."""

    def pause(self) -> None:
        """Clear the display: user code may print now."""

    def resume(self) -> None:
        """Show the same as before the pause."""

    def close(self) -> None:
        """End the display: the run is over."""


@define
class _UsersBar:
    """A bar that the caller made, and closes."""

    _bar: Any

    def advance(self, n: int, tally: Tally, total: int | None) -> None:
        counts = tally.mishaps()
        if counts and callable(getattr(self._bar, "set_postfix", None)):
            self._bar.set_postfix(**counts, refresh=False)
        if n:
            self._bar.update(n)
        elif callable(getattr(self._bar, "refresh", None)):
            self._bar.refresh()

    def pause(self) -> None:
        """Do nothing: the caller knows what is printed where."""

    resume = close = pause


@define
class RunProgress:
    """Shows the progress of one run.

    Attributes:
        error: What a bar of the caller raised; that bar is not updated any more.
    """

    # Makes the display, from the total number of tasks.
    _make_display: Callable[[int | None], Display | None]
    _run: RunInfo = field(init=False)
    _display: Display | None = field(default=None, init=False)
    _tally: Tally = field(factory=Tally, init=False)
    _shown: int = field(default=0, init=False)
    _shown_at: float = field(factory=time.monotonic, init=False)
    error: Exception | None = field(default=None, init=False)

    @classmethod
    def of(cls, progress: object, *, beside_prints: bool) -> RunProgress | None:
        """Return the observer for an option; None if stderr cannot show a bar.

        Args:
            progress: The option of the run, which was checked.
            beside_prints: Whether user code, which may print, runs meanwhile.
        """
        is_forced = _is_forced(progress)
        if progress is not True and not is_forced:
            return cls(lambda total: _UsersBar(progress))
        is_notebook = _is_notebook()
        if sys.stderr is None or not (is_forced or is_notebook or _is_terminal()):
            return None

        def tqdm_bar(total: int | None) -> Display:
            from enact_pool._observe.tqdm_bar import TqdmBar  # its import takes long

            return TqdmBar(total, beside_prints and not is_notebook)

        return cls(tqdm_bar)

    # Hooks

    def run_started(self, run: RunInfo) -> None:
        self._run = run

    def tasks_queued(self, tasks: range, total: int | None) -> None:
        """Show the bar when the first tasks are queued: a run without tasks shows none."""
        if self._display is None and not tasks.start and tasks:
            self._guarded(self._begin)

    def _begin(self) -> None:
        self._display = self._make_display(self._run.total())

    def tasks_settled(
        self,
        tasks: Sequence[int],
        names: Sequence[str],
        results: Sequence[ParallelResult[Any]],
        texts: Mapping[int, str],
    ) -> None:
        self._tally.add(results)

    def user_code(self, running: bool) -> None:
        display = self._display
        if display is not None:
            self._guarded(display.pause if running else display.resume)

    def tick(self) -> float:
        """Show new results, or that time passes; return the seconds until the next update."""
        if self._delay <= 0:
            self._advance()
        return self._delay

    def run_ended(self) -> None:
        if self._tally.total != self._shown:
            self._advance()
        if self._display is not None:
            self._guarded(self._display.close)

    @property
    def _delay(self) -> float:
        """The seconds until the next update."""
        if self._display is None:
            return float("inf")
        pause = _TICK_SECONDS if self._tally.total == self._shown else _UPDATE_SECONDS
        return max(0.0, self._shown_at + pause - time.monotonic())

    def _advance(self) -> None:
        display = self._display
        if display is not None:
            self._shown_at = time.monotonic()
            new = self._tally.total - self._shown
            self._shown += new
            self._guarded(lambda: display.advance(new, self._tally, self._run.total()))

    def _guarded(self, act: Callable[[], None]) -> None:
        """Call the display; if it raises, the run goes on without it."""
        try:
            act()
        except Exception as error:
            raise_interrupt(error)
            # OSError, ValueError: stderr was closed, or has no reader. The bar cannot be seen.
            if isinstance(self._display, _UsersBar) or not isinstance(error, (OSError, ValueError)):
                self.error = error
            self._display = None


def _is_terminal() -> bool:
    if nesting.depth:
        return False  # all workers share the terminal of their parent
    try:
        return sys.stderr.isatty()
    except (AttributeError, OSError, ValueError):
        return False  # stderr is closed, or was replaced


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    if ipython is None or nesting.depth:
        return False
    return hasattr(ipython.get_ipython(), "kernel")
