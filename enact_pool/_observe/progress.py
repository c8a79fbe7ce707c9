"""Progress: how far a run is, shown while it goes on.

The run's own loop drives it, which wakes up often enough: there is no thread for it.
Nothing of this is imported by runs that show none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol

from attrs import define, field

from enact_pool._model.results import Tally
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._system.nesting import nesting

__all__ = ["Display", "RunProgress", "check_progress", "mishaps_text"]

# How often to show what is new, at most, and that time passes if nothing is.
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
    # Bars of tqdm cannot be compared with anything else.
    return isinstance(progress, str) and progress == "force"


class Display(Protocol):
    """What shows the progress of one run."""

    def advance(self, n: int, tally: Tally, total: int | None) -> None:
        """So many more outcomes are known: these in all, of so many if that is known."""

    def make_way(self) -> None:
        """Something else may be printed now."""

    def come_back(self) -> None:
        """It was."""

    def close(self) -> None:
        """The run is over."""


@define
class _BroughtAlong:
    """A bar that the caller has made, and closes."""

    _bar: Any

    def advance(self, n: int, tally: Tally, total: int | None) -> None:
        counts = _mishaps(tally)
        if counts and callable(getattr(self._bar, "set_postfix", None)):
            self._bar.set_postfix(**counts, refresh=False)
        if n:
            self._bar.update(n)
        elif callable(getattr(self._bar, "refresh", None)):
            self._bar.refresh()

    def make_way(self) -> None:
        """Its maker knows better what is printed where."""

    come_back = close = make_way


def _mishaps(tally: Tally) -> dict[str, int]:
    """How many there are of what is not Ok, where there are any."""
    counts = {"failed": tally.failed, "crashed": tally.crashed, "cancelled": tally.cancelled}
    return {name: count for name, count in counts.items() if count}


def mishaps_text(tally: Tally) -> str:
    """The same as a text: "3 failed, 1 crashed"."""
    return ", ".join(f"{count} {name}" for name, count in _mishaps(tally).items())


@define
class RunProgress:
    """Shows the progress of one run, of which the tally is kept elsewhere.

    `total` gives how many outcomes there will be, or None.
    """

    _display: Display | None
    _tally: Tally
    _total: Callable[[], int | None]
    _shown: int = field(default=0, init=False)
    _shown_at: float = field(factory=time.monotonic, init=False)
    # What a bar that the caller has made has raised; it is not shown any more.
    error: Exception | None = field(default=None, init=False)

    @classmethod
    def of(
        cls,
        progress: object,
        tally: Tally,
        total: Callable[[], int | None],
        *,
        beside_prints: bool,
    ) -> RunProgress | None:
        """What was asked for; None if nobody could see it.

        `beside_prints` says whether the caller's code, which may print, runs meanwhile.
        """
        is_forced = _is_forced(progress)
        if progress is not True and not is_forced:
            return cls(_BroughtAlong(progress), tally, total)
        is_notebook = _is_notebook()
        if sys.stderr is None or not (is_forced or is_notebook or _is_terminal()):
            return None
        from enact_pool._observe.tqdm_bar import TqdmBar  # takes long to import

        this = cls(None, tally, total)
        this._guarded(lambda: this._begin(TqdmBar(total(), beside_prints and not is_notebook)))
        return this

    def _begin(self, display: Display) -> None:
        self._display = display

    def show(self) -> None:
        """Show what is new, or that time passes, if it is time for that."""
        if self.delay <= 0:
            self._advance()

    @property
    def delay(self) -> float:
        """In how many seconds it is time to show something."""
        if self._display is None:
            return float("inf")
        pause = _TICK_SECONDS if self._tally.total == self._shown else _NEWS_SECONDS
        return max(0.0, self._shown_at + pause - time.monotonic())

    def make_way(self) -> None:
        """The caller's code runs now, and may print."""
        if self._display is not None:
            self._guarded(self._display.make_way)

    def come_back(self) -> None:
        """It has done so."""
        if self._display is not None:
            self._guarded(self._display.come_back)

    def end(self) -> None:
        """The run is over: show what has come of it."""
        if self._tally.total != self._shown:
            self._advance()
        if self._display is not None:
            self._guarded(self._display.close)

    def _advance(self) -> None:
        display = self._display
        if display is not None:
            self._shown_at = time.monotonic()
            new = self._tally.total - self._shown
            self._shown += new
            self._guarded(lambda: display.advance(new, self._tally, self._total()))

    def _guarded(self, act: Callable[[], None]) -> None:
        """Whatever becomes of the bar, the run goes on."""
        try:
            act()
        except Exception as error:
            raise_interrupt(error)
            # Nobody can see it any more if stderr was closed, or its reader is gone.
            if isinstance(self._display, _BroughtAlong) or not isinstance(
                error, (OSError, ValueError)
            ):
                self.error = error
            self._display = None


def _is_terminal() -> bool:
    if nesting.depth:
        return False  # workers may have the terminal of their parent, but are many
    try:
        return sys.stderr.isatty()
    except (AttributeError, OSError, ValueError):
        return False  # it is closed, or something else has taken its place


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    if ipython is None or nesting.depth:
        return False
    return hasattr(ipython.get_ipython(), "kernel")
