"""Progress: how far a run is, shown while it goes on.

The run's own loop drives it, which wakes up often enough: there is no thread for it. Runs that
show no progress import nothing of this.
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

# How often to show new results at most, and that time passes if there are none, in seconds.
_NEWS_SECONDS = 0.1
_TICK_SECONDS = 0.5


def check_progress(progress: object) -> None:
    """Raise `TypeError` for what shows no progress, and `ImportError` if tqdm is missing."""
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
    # tqdm's bars cannot be compared with anything else.
    return isinstance(progress, str) and progress == "force"


class Display(Protocol):
    """What shows the progress of one run."""

    def advance(self, n: int, tally: Tally, total: int | None) -> None:
        """Show `n` more results: `tally` counts all, `total` is how many there will be."""

    def pause(self) -> None:
        """Make way: something else may be printed now."""

    def resume(self) -> None:
        """Show again what was shown before the pause."""

    def close(self) -> None:
        """End: the run is over."""


@define
class _UsersBar:
    """A bar that the caller has made, and closes."""

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
        """Do nothing: its maker knows better what is printed where."""

    resume = close = pause


@define
class RunProgress:
    """Shows the progress of one run.

    Attributes:
        error: What a bar that the caller has made has raised; it is not shown any more.
    """

    # Makes what shows it, given the total; None if a bar could not be seen.
    _make_display: Callable[[int | None], Display | None]
    _run: RunInfo = field(init=False)
    _display: Display | None = field(default=None, init=False)
    _tally: Tally = field(factory=Tally, init=False)
    _shown: int = field(default=0, init=False)
    _shown_at: float = field(factory=time.monotonic, init=False)
    error: Exception | None = field(default=None, init=False)

    @classmethod
    def of(cls, progress: object, *, beside_prints: bool) -> RunProgress | None:
        """Return what was asked for; None if nobody could see it.

        Args:
            progress: The option of the run, which was checked.
            beside_prints: Whether code of the caller's, which may print, runs meanwhile.
        """
        is_forced = _is_forced(progress)
        if progress is not True and not is_forced:
            return cls(lambda total: _UsersBar(progress))
        is_notebook = _is_notebook()
        if sys.stderr is None or not (is_forced or is_notebook or _is_terminal()):
            return None

        def tqdm_bar(total: int | None) -> Display:
            from enact_pool._observe.tqdm_bar import TqdmBar  # takes long to import

            return TqdmBar(total, beside_prints and not is_notebook)

        return cls(tqdm_bar)

    # Hooks

    def run_started(self, run: RunInfo) -> None:
        self._run = run

    def tasks_queued(self, tasks: range, total: int | None) -> None:
        """Show the bar when there are tasks: a run without any shows none."""
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
        """Show new results, or that time passes; return when to be called again."""
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
        """In how many seconds it is time to show something."""
        if self._display is None:
            return float("inf")
        pause = _TICK_SECONDS if self._tally.total == self._shown else _NEWS_SECONDS
        return max(0.0, self._shown_at + pause - time.monotonic())

    def _advance(self) -> None:
        display = self._display
        if display is not None:
            self._shown_at = time.monotonic()
            new = self._tally.total - self._shown
            self._shown += new
            self._guarded(lambda: display.advance(new, self._tally, self._run.total()))

    def _guarded(self, act: Callable[[], None]) -> None:
        """Whatever the bar raises, the run goes on."""
        try:
            act()
        except Exception as error:
            raise_interrupt(error)
            # If stderr was closed, or its reader is gone, nobody can see the bar any more.
            if isinstance(self._display, _UsersBar) or not isinstance(error, (OSError, ValueError)):
                self.error = error
            self._display = None


def _is_terminal() -> bool:
    if nesting.depth:
        return False  # workers may have their parent's terminal, but there are many
    try:
        return sys.stderr.isatty()
    except (AttributeError, OSError, ValueError):
        return False  # it is closed, or something else has taken its place


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    if ipython is None or nesting.depth:
        return False
    return hasattr(ipython.get_ipython(), "kernel")
