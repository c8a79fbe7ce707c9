"""The bar that is shown when none was brought along: tqdm's, on stderr or in a notebook."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any
from weakref import WeakSet

from tqdm.auto import tqdm

from enact_pool._model.results import Tally

__all__ = ["TqdmBar"]


# Of a terminal that does not tell its own.
_USUAL_SIZE = os.terminal_size((80, 24))


def _has_size() -> bool:
    """Whether stderr is no terminal without a size, on which tqdm would show nothing."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):
        return True


class _Bar(tqdm):  # type: ignore[misc]
    # No thread that looks after bars: the run does. Other bars have theirs.
    monitor_interval = 0

    # tqdm does not let go of its lock when an interrupt comes, or stderr is gone.

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

    If it is `beside_prints`, it makes way for what is printed.
    """

    def __init__(self, total: int | None, beside_prints: bool) -> None:
        has_size = _has_size()
        # How often to draw it is decided elsewhere.
        self._bar = _Bar(
            total=total,
            file=sys.stderr,
            leave=None,
            dynamic_ncols=has_size,
            ncols=None if has_size else _USUAL_SIZE.columns,
            nrows=None if has_size else _USUAL_SIZE.lines,
            mininterval=0,
            miniters=0,
        )
        _shown.add(self._bar)
        self._beside_prints = beside_prints
        self._text = str(self._bar)

    def advance(self, n: int, tally: Tally, total: int | None) -> None:
        """Draw it anew."""
        if total is not None:
            self._bar.total = total
        self._bar.set_postfix_str(tally.mishaps_text(), refresh=False)
        if n:
            self._bar.update(n)
        else:
            # An update with nothing new would make the next one look quick.
            self._bar.refresh()
        self._text = str(self._bar)

    def pause(self) -> None:
        """Leave the line empty."""
        if self._beside_prints:
            self._bar.clear()

    def resume(self) -> None:
        """Draw it as it was, which costs no more than to write it."""
        if self._beside_prints:
            with self._bar.get_lock():
                self._bar.display(self._text)

    def close(self) -> None:
        """Leave it there as it is, if it is the uppermost."""
        self._bar.close()


_shown: WeakSet[_Bar] = WeakSet()


def _leave_to_parent() -> None:
    """In a forked child: draw no more, and be in nobody's way."""
    for bar in list(_shown):
        bar.disable = True
        bar._instances.discard(bar)
    _shown.clear()
    # Another thread may have held the usual one, and is not here to let go of it.
    _Bar.set_lock(threading.RLock())


os.register_at_fork(after_in_child=_leave_to_parent)
