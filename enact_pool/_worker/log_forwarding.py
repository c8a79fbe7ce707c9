"""The forwarding of callables' log records and warnings to the parent, as they are logged.

It adds no handler to a logger, and changes no level: a callable that configures
logging finds it as it would be without us, and its own handlers receive what they would
receive. While a batch runs, each logger passes the records that it would pass here or in
the parent; records that the parent's logger would pass are sent to the parent.

Warnings are sent unless an unusual filter stops them: the parent's filters decide which
warnings are shown.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Mapping

from enact_pool._ipc.flight_recorder import FlightRecorder
from enact_pool._ipc.side_channel import Kind
from enact_pool._worker.log_channel import LogChannel, mark_start
from enact_pool._worker.log_records import pickle_record, pickle_warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["LogForwarder"]

# The interpreter's own filters, which are the last ones.
_USUAL_FILTERS: list[tuple[Any, ...]] = [
    ("default", None, DeprecationWarning, "__main__", 0),
    *(
        ("ignore", None, category, None, 0)
        for category in (
            DeprecationWarning,
            PendingDeprecationWarning,
            ImportWarning,
            ResourceWarning,
        )
    ),
]

# Bound here: a callable may patch it.
_disable = logging.disable


class LogForwarder:
    """Sends log records and warnings to the parent, from `install` to `remove`.

    Attributes:
        is_on: Whether a batch runs: nothing is sent otherwise.
    """

    def __init__(self, side: int, recorder: FlightRecorder, levels: Mapping[str, int]) -> None:
        """`levels` are those of the parent's loggers, by name; the root's name is ""."""
        self.is_on = False
        self._channel = LogChannel(side, recorder)
        self._sender = _Sender(self._channel)
        # By the names of loggers; completed as loggers are used.
        self._levels = dict(levels)
        self._basic_config = logging.basicConfig
        self._call_handlers = logging.Logger.callHandlers
        self._effective_level = logging.Logger.getEffectiveLevel
        self._show = warnings.showwarning
        self._start = threading.Thread.start
        self._removed_filters: list[Any] = []
        # The state to which `restore` returns.
        self._filters: list[Any] = []
        self._disabled_level = logging.root.manager.disable
        self._disabled = _disabled_loggers()
        self._undo: list[Callable[[], None]] = []

    def install(self) -> None:
        """Replace the functions of logging and warnings that must send."""

        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            if self.is_on and record.levelno >= self._parent_level(logger.name):
                self._sender.handle(record)
                if not logger.hasHandlers():
                    return  # without a handler, logging would print the record here
            if record.levelno >= self._effective_level(logger):
                self._call_handlers(logger, record)

        def effective_level(logger: logging.Logger) -> int:
            return min(self._effective_level(logger), self._parent_level(logger.name))

        def basic_config(**options: Any) -> None:
            # If no handler exists, logging.warning() and similar functions create one, which
            # would print here what is sent to the parent.
            by_logging = sys._getframe(1).f_globals is vars(logging)
            if not (self.is_on and by_logging):
                self._basic_config(**options)

        def start(thread: threading.Thread) -> None:
            mark_start(thread, self._channel)
            self._start(thread)

        self._replace(threading.Thread, "start", start)
        self._replace(logging, "basicConfig", basic_config)
        self._replace(logging.Logger, "callHandlers", call_handlers)
        self._replace(logging.Logger, "getEffectiveLevel", effective_level)
        _clear_level_caches()
        # Keep a function that the user's code has installed instead.
        if self._show.__module__ == warnings.__name__:
            self._replace(warnings, "showwarning", self._show_warning)
        filters: Any = warnings.filters
        while filters and filters[-1] in _USUAL_FILTERS:
            self._removed_filters.insert(0, filters.pop())
        _clear_filter_caches()
        self._filters = list(filters)

    def _replace(self, where: Any, name: str, ours: Any) -> None:
        before = getattr(where, name)
        setattr(where, name, ours)

        def undo() -> None:
            # Unless a callable has installed another function, which may call ours.
            if getattr(where, name) is ours:
                setattr(where, name, before)

        self._undo.append(undo)

    def restore(self) -> None:
        """Undo what a callable has done that would silence later callables."""
        if logging.root.manager.disable != self._disabled_level:
            _disable(self._disabled_level)
        for logger in _disabled_loggers() ^ self._disabled:
            logger.disabled = logger in self._disabled
        filters: Any = warnings.filters
        if filters != self._filters:
            # Filters that stop few warnings are usually those of libraries, which add them
            # once, when they are imported: keep them.
            added = [one for one in filters if one not in self._filters and (one[1] or one[3])]
            self._filters = added + [one for one in self._filters if one not in added]
            filters[:] = self._filters
            _clear_filter_caches()

    def remove(self) -> None:
        """Return logging and warnings to their state before `install`."""
        self.is_on = False
        while self._undo:
            self._undo.pop()()
        _clear_level_caches()
        filters: Any = warnings.filters
        filters.extend(self._removed_filters)
        _clear_filter_caches()
        self._sender.close()
        self._channel.close()

    def _parent_level(self, name: str) -> int:
        level = self._levels.get(name)
        if level is None:
            level = self._levels[name] = self._parent_level(name.rpartition(".")[0])
        return level

    def _show_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        if not self.is_on or file is not None:
            self._show(message, category, filename, lineno, file, line)
        else:
            content = pickle_warning(message, category, filename, lineno)
            self._channel.send(Kind.WARNING, content)


class _Sender(logging.Handler):
    """Sends records; reports errors as handlers of logging do."""

    def __init__(self, channel: LogChannel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._channel.send(Kind.RECORD, pickle_record(record))
        except Exception:
            self.handleError(record)


def _disabled_loggers() -> set[Any]:
    root = logging.root
    loggers = [root, *list(root.manager.loggerDict.values())]
    return {logger for logger in loggers if getattr(logger, "disabled", False)}


def _clear_level_caches() -> None:
    """Let loggers determine anew which levels they pass; setting any level does that."""
    root = logging.getLogger()
    root.setLevel(root.level)


def _clear_filter_caches() -> None:
    """Let places that have warned once use the filters anew; setting any filter does that."""
    with warnings.catch_warnings():
        pass
