"""Log records and warnings of callables, in their worker: sent to its parent as they come.

No handler is added to a logger, and no level is changed: a callable that configures
logging finds it as it would be without us, and its own handlers get what they would
get. While a batch runs, each logger lets pass what it would pass here, or in the
parent; what the parent's would pass is sent there.

Warnings are sent unless a filter stops them that is not one of the usual: what is
shown is decided by the filters of the parent.
"""

from __future__ import annotations

import errno
import logging
import os
import pickle
import select
import sys
import threading
import warnings
from _socket import AF_UNIX, MSG_DONTWAIT, SOCK_STREAM, socket
from collections.abc import Callable, Mapping

from enact_pool._ipc.flight_recorder import FlightRecorder
from enact_pool._ipc.side_channel import MOST_BYTES, NUMBERS, Kind, header
from enact_pool._python.texts import shown
from enact_pool._wire.frames import SHAREABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Forwarder"]

# If a record is too long, so many characters of each end of its texts are sent.
_ENDS = 7000, 1900, 600
_TEXTS = "msg", "exc_text", "stack_info"
# What every record has beside, and is short as a rule.
_NAMES = frozenset(vars(logging.makeLogRecord({}))) - {"args", "exc_info", *_TEXTS, *NUMBERS}
# Of such a record, so many characters of each end of names, and of what was added to it.
_NAME_ENDS = 150
_ADDED_ENDS = 50
_MOST_ADDED = 20
# How deep, and how large in all, containers are that are sent as such.
_MOST_LEVELS = 6
_MOST_ITEMS = 1000

# The most base classes of a warning that are sent, and the last line that it may have.
_MOST_KINDS = 10
_MOST_LINES = (1 << 31) - 1

# Where a thread has the number of the callable that has started it, or its starter.
_STARTED_BY = "_enact_pool_started_by"

# How long to wait for room where no event tells of it (macOS), in milliseconds.
_PAUSE_MS = 1

# The interpreter's own filters, which come last.
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


class Forwarder:
    """Sends what this process logs, and warns of, to its parent, from `install` to `remove`.

    Between these, it does so while `is_on`. `levels` are those of the parent's loggers,
    by name; the root's is "".
    """

    def __init__(self, side: int, recorder: FlightRecorder, levels: Mapping[str, int]) -> None:
        self.is_on = False
        self._channel = _Channel(side, recorder)
        self._sender = _Sender(self._channel)
        # By the names of loggers, found as they are asked for.
        self._levels = dict(levels)
        self._basic_config = logging.basicConfig
        self._call_handlers = logging.Logger.callHandlers
        self._effective_level = logging.Logger.getEffectiveLevel
        self._show = warnings.showwarning
        self._start = threading.Thread.start
        self._removed_filters: list[Any] = []
        # What `restore` puts back.
        self._filters: list[Any] = []
        self._disabled_level = logging.root.manager.disable
        self._disabled = _disabled_loggers()
        self._remove: list[Callable[[], None]] = []

    def install(self) -> None:
        """Take note of what is logged and warned of."""

        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            if self.is_on and record.levelno >= self._parent_level(logger.name):
                self._sender.handle(record)
                if not logger.hasHandlers():
                    return  # it would be printed here, for want of a handler
            if record.levelno >= self._effective_level(logger):
                self._call_handlers(logger, record)

        def effective_level(logger: logging.Logger) -> int:
            return min(self._effective_level(logger), self._parent_level(logger.name))

        def basic_config(**options: Any) -> None:
            # Without a handler, logging.warning() and its kin make one, which would
            # print here what is told elsewhere.
            by_logging = sys._getframe(1).f_globals is vars(logging)
            if not (self.is_on and by_logging):
                self._basic_config(**options)

        def start(thread: threading.Thread) -> None:
            vars(thread)[_STARTED_BY] = self._channel.serial()
            self._start(thread)

        self._replace(threading.Thread, "start", start)
        self._replace(logging, "basicConfig", basic_config)
        self._replace(logging.Logger, "callHandlers", call_handlers)
        self._replace(logging.Logger, "getEffectiveLevel", effective_level)
        _forget_levels()
        # If somebody has put another in its place, what that does is wanted.
        if self._show.__module__ == warnings.__name__:
            self._replace(warnings, "showwarning", self._show_warning)
        filters: Any = warnings.filters
        while filters and filters[-1] in _USUAL_FILTERS:
            self._removed_filters.insert(0, filters.pop())
        _forget_filters()
        self._filters = list(filters)

    def _replace(self, where: Any, name: str, ours: Any) -> None:
        before = getattr(where, name)
        setattr(where, name, ours)

        def put_back() -> None:
            # Unless a callable has put another there, which may call ours.
            if getattr(where, name) is ours:
                setattr(where, name, before)

        self._remove.append(put_back)

    def restore(self) -> None:
        """Undo what a callable has done that would silence those after it."""
        if logging.root.manager.disable != self._disabled_level:
            _disable(self._disabled_level)
        for logger in _disabled_loggers() ^ self._disabled:
            logger.disabled = logger in self._disabled
        filters: Any = warnings.filters
        if filters != self._filters:
            # Those that stop few warnings are those of libraries, which add them once,
            # when they are imported.
            added = [one for one in filters if one not in self._filters and (one[1] or one[3])]
            self._filters = added + [one for one in self._filters if one not in added]
            filters[:] = self._filters
            _forget_filters()

    def remove(self) -> None:
        """Leave logging and warnings as they were."""
        self.is_on = False
        while self._remove:
            self._remove.pop()()
        _forget_levels()
        filters: Any = warnings.filters
        filters.extend(self._removed_filters)
        _forget_filters()
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
            return
        # The parent may not know it, but one that it is derived from.
        kinds = [
            tuple(_cut(_text(name), _NAME_ENDS) for name in (kind.__module__, kind.__qualname__))
            for kind in category.__mro__
            if issubclass(kind, Warning)
        ]
        # The root of them all comes last, and is known.
        told = (
            _cut(_text(str(message)), _ENDS[1]),
            [*kinds[: _MOST_KINDS - 1], kinds[-1]],
            _cut(_text(filename), _NAME_ENDS),
            min(max(0, int(_number(lineno) or 0)), _MOST_LINES),
        )
        self._channel.send(Kind.WARNING, pickle.dumps(told))


class _Sender(logging.Handler):
    """Sends records; what goes wrong is told as logging tells it."""

    def __init__(self, channel: _Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._channel.send(Kind.RECORD, _packed(record))
        except Exception:
            self.handleError(record)


_formatter = logging.Formatter()


def _packed(record: logging.LogRecord) -> bytes:
    """The record, of plain values; of a long one no more than there is room for."""
    # The arguments may be anything, and the exception too.
    texts: dict[str, Any] = {"msg": record.getMessage(), "exc_text": record.exc_text}
    if record.exc_info and not record.exc_text:
        texts["exc_text"] = _formatter.formatException(record.exc_info)
    texts["stack_info"] = record.stack_info
    texts = {name: text and _text(text) for name, text in texts.items()}
    usual: dict[str, Any] = {}
    added: dict[str, Any] = {}
    plain = _Plain()
    for name, value in list(vars(record).items()):
        if name in NUMBERS:
            number = _number(value)
            if number is not None:
                usual[name] = number
        elif name in _NAMES:
            usual[name] = None if value is None else _text(value)
        elif name not in ("args", "exc_info", *_TEXTS):
            added[_text(name)] = plain.of(value)
    packed = pickle.dumps({**added, **usual, **texts})
    for ends in _ENDS:
        if len(packed) <= MOST_BYTES:
            break
        short = {
            _cut(name, _ADDED_ENDS): _cut(shown(value), _ADDED_ENDS)
            for name, value in list(added.items())[:_MOST_ADDED]
        }
        for name in _NAMES & usual.keys():
            short[name] = usual[name] and _cut(usual[name], _NAME_ENDS)
        for name in NUMBERS & usual.keys():
            short[name] = usual[name]
        for name, text in texts.items():
            short[name] = text and _cut(text, ends)
        packed = pickle.dumps(short)
    return packed


def _text(value: object) -> str:
    """The same text as a plain `str`; of what is none, a repr."""
    return str.__str__(value) if issubclass(type(value), str) else shown(value)


def _number(value: object) -> int | float | None:
    """The same number as a plain one, if it is one that others can use as a number."""
    plain = _Plain().of(value)
    is_usual = isinstance(plain, (int, float)) and -(1 << 63) <= plain < 1 << 63
    return plain if is_usual else None  # type: ignore[return-value]


class _Plain:
    """Makes plain values, which any process can rebuild, of those of one record."""

    def __init__(self) -> None:
        self._left = _MOST_ITEMS

    def of(self, value: Any, level: int = 0) -> object:
        """The value, in containers too, without what subclasses add; of others a repr."""
        kind = type(value)
        if kind in SHAREABLE:
            return value
        # Subclasses, of enums as a rule, would want their modules to be there.
        for base, plain in _PLAIN_OF.items():
            if issubclass(kind, base):
                return plain(value)
        if kind in (list, tuple, set, frozenset, dict):
            self._left -= len(value)
            if level < _MOST_LEVELS and self._left >= 0:
                if kind is dict:
                    items = list(value.items())
                    return {self.of(k, level + 1): self.of(v, level + 1) for k, v in items}
                return kind([self.of(item, level + 1) for item in list(value)])
            # Its repr may be far too large.
            return f"<{kind.__name__} of {len(value)} items>"
        return shown(value)


_PLAIN_OF: dict[type, Callable[[Any], object]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}


def _cut(text: str, ends: int) -> str:
    left_out = len(text) - 2 * ends
    if left_out <= 0:
        return text
    return f"{text[:ends]}\n[{left_out} characters are left out here]\n{text[-ends:]}"


class _Channel:
    """The worker's end of the side channel, for any of its threads, and its forked children."""

    def __init__(self, side: int, recorder: FlightRecorder) -> None:
        self._recorder = recorder
        # In a forked child, the number of the callable that has forked it.
        self._forked_by: int | None = None
        # The same, of the threads that are about to fork: by the time that the child looks,
        # the recorder, which it shares, may tell of another callable.
        self._forking: dict[int, int] = {}
        _open_channels.append(self)
        # Which kind it is really does not matter here.
        self._socket = socket(AF_UNIX, SOCK_STREAM, 0, side)

    def send(self, kind: int, content: bytes) -> None:
        """Send a message, of the callable that runs; waits while there is no room.

        That counts as the callable's own time: if the clock stopped, one that logs
        without an end would have no limit. Raises `OSError`.
        """
        message = header(kind, self.serial()) + content
        try:
            self._socket.send(message, MSG_DONTWAIT)
        except BlockingIOError:
            self._send_when_there_is_room(message)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._send_when_there_is_room(message)

    def serial(self) -> int:
        """The number of the callable that this thread works for; 0 if that is not known.

        Others than the main thread may go on when their callable has ended.
        """
        thread = threading.current_thread()
        if thread is not threading.main_thread():
            started_by: int = vars(thread).get(_STARTED_BY, 0)
            return started_by
        if self._forked_by is not None:
            return self._forked_by
        return 0 if self._recorder.loading else self._recorder.begun

    def note_forking(self) -> None:
        """This thread is about to fork."""
        self._forking[threading.get_ident()] = self.serial()

    def note_has_forked(self) -> None:
        """It has done so."""
        self._forking.pop(threading.get_ident(), None)

    def note_forked(self) -> None:
        """This process is the child, in which that thread is the main one."""
        self._forked_by = self._forking.get(threading.get_ident(), 0)
        self._forking.clear()

    def _send_when_there_is_room(self, message: bytes) -> None:
        poller = select.poll()
        poller.register(self._socket.fileno(), select.POLLOUT)
        while True:
            poller.poll()
            try:
                self._socket.send(message, MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                select.poll().poll(_PAUSE_MS)
            else:
                return

    def close(self) -> None:
        """Let go of the descriptor, which is the worker's."""
        self._socket.detach()
        _open_channels.remove(self)


# Those of this process.
_open_channels: list[_Channel] = []


def _note_forking() -> None:
    for channel in _open_channels:
        channel.note_forking()


def _note_has_forked() -> None:
    for channel in _open_channels:
        channel.note_has_forked()


def _note_forked() -> None:
    for channel in _open_channels:
        channel.note_forked()


os.register_at_fork(
    before=_note_forking, after_in_parent=_note_has_forked, after_in_child=_note_forked
)

# A callable may patch it.
_disable = logging.disable


def _disabled_loggers() -> set[Any]:
    root = logging.root
    loggers = [root, *list(root.manager.loggerDict.values())]
    return {logger for logger in loggers if getattr(logger, "disabled", False)}


def _forget_levels() -> None:
    """Let loggers ask anew which levels they let pass; setting any level does that."""
    root = logging.getLogger()
    root.setLevel(root.level)


def _forget_filters() -> None:
    """Let places that have warned once ask the filters anew; setting any filter does that."""
    with warnings.catch_warnings():
        pass
