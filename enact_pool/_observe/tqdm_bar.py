"""The default progress bar: tqdm's, on stderr or in a notebook."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any
from weakref import WeakSet

from tqdm.auto import tqdm

from enact_pool._model.results import Tally

__all__ = ["TqdmBar"]


# The size of a terminal that does not report one.
_DEFAULT_SIZE = os.terminal_size((80, 24))


def _has_size() -> bool:
    """Return False if stderr is a terminal without a size, on which tqdm would show nothing."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):
        return True


class _Bar(tqdm):  # type: ignore[misc]
    # No monitor thread: the run updates this bar. Other bars keep their monitor.
    monitor_interval = 0

    # tqdm itself does not release its lock if an interrupt or a write to stderr raises.

    def refresh(self, nolock: bool = False, lock_args: Any = None) -> Any:
        if nolock:
            return super().refresh(nolock=True)
        with self.get_lock():
            return super().refresh(nolock=True)

    def clear(self, *_: Any, **__: Any) -> None:
        with self.get_lock():
            super().clear(nolock=True)


class TqdmBar:
    """A bar for one run; bars of other runs, and other bars of tqdm, are above or below it.

    Args:
        total: The number of tasks; None if it is not known.
        beside_prints: Whether to clear the bar while user code runs, which may print.
    """

    def __init__(self, total: int | None, beside_prints: bool) -> None:
        has_size = _has_size()
        # `RunProgress` decides how often to draw.
        self._bar = _Bar(
            total=total,
            file=sys.stderr,
            leave=None,
            dynamic_ncols=has_size,
            ncols=None if has_size else _DEFAULT_SIZE.columns,
            nrows=None if has_size else _DEFAULT_SIZE.lines,
            mininterval=0,
            miniters=0,
        )
        _shown.add(self._bar)
        self._beside_prints = beside_prints
        self._text = str(self._bar)

    def advance(self, n: int, tally: Tally, total: int | None) -> None:
        """Draw the new state."""
        if total is not None:
            self._bar.total = total
        self._bar.set_postfix_str(tally.mishaps_text(), refresh=False)
        if n:
            self._bar.update(n)
        else:
            # An update by 0 would make the next update look fast.
            self._bar.refresh()
        self._text = str(self._bar)

    def pause(self) -> None:
        """Clear the line."""
        if self._beside_prints:
            self._bar.clear()

    def resume(self) -> None:
        """Write the last text again, without computing it."""
        if self._beside_prints:
            with self._bar.get_lock():
                self._bar.display(self._text)

    def close(self) -> None:
        """End the bar; the uppermost bar stays visible."""
        self._bar.close()


_shown: WeakSet[_Bar] = WeakSet()


def _after_fork() -> None:
    """In a forked child, disable the bars of the parent, and free their lines."""
    for bar in list(_shown):
        bar.disable = True
        bar._instances.discard(bar)
    _shown.clear()
    # Another thread, which the child does not have, may have held the lock at the fork.
    _Bar.set_lock(threading.RLock())


os.register_at_fork(after_in_child=_after_fork)
