"""Log records and warnings of callables, handled in the parent as if they had been made there.

`_worker.log_forwarding` sends them. They wait until user code may run. A record then goes to the
logger of the same name in this process; a warning goes to the filters of this process, and to the
function that shows warnings in it.
"""

from __future__ import annotations

import logging
import pickle
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from attrs import define, field

from enact_pool._core.observer import RunInfo
from enact_pool._ipc.side_channel import NUMBERS, Kind
from enact_pool._model.ids import log_attributes
from enact_pool._observe.delivery import Delivery
from enact_pool._python.interrupts import raise_interrupt

__all__ = ["LogReceiver", "logger_levels"]


def logger_levels() -> dict[str, int]:
    """Return the lowest enabled level of each logger, by its name; the root's name is ""."""
    root = logging.getLogger()
    least = root.manager.disable + 1
    own = {
        name: logger.getEffectiveLevel()
        for name, logger in list(root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and logger.level
    }
    own[""] = root.getEffectiveLevel()
    return {name: max(level, least) for name, level in own.items()}


@define
class _Record:
    """A log record or a warning, with its callable if that is known."""

    kind: int
    content: bytes
    index: int | None
    name: str | None
    execution_id: int | None

    @property
    def attributes(self) -> dict[str, object]:
        """The attributes that are added to the log record."""
        return log_attributes(self.index, self.name, self.execution_id)


# The arguments of `warnings.warn_explicit`: message, category, file, line, module and registry.
_Warning = tuple[str, type[Warning], str, int, str, dict[Any, Any]]

# Seconds since the epoch: the end of the year 9999, after which times cannot be shown.
_LATEST = 253_402_300_800


@define
class LogReceiver:
    """Handles the log records and the warnings of the callables of one run."""

    _delivery: Delivery
    _run: RunInfo = field(init=False)
    # The warning registries of files that are not modules in this process.
    _registries: dict[str, dict[Any, Any]] = field(factory=dict, init=False)

    def run_started(self, run: RunInfo) -> None:
        """Use the names and the ids of this run."""
        self._run = run

    def log_received(self, task: int | None, kind: int, content: bytes) -> None:
        """Keep a record until user code may run."""
        name = id = None
        if task is not None:
            name, id = self._run.name_of(task), self._run.id_of(task)
        self._delivery.add(self._log, _Record(kind, content, task, name, id))

    def _log(self, record: _Record) -> None:
        """Handle a record. Raises what handlers raise, or a warning that filters make an error."""
        try:
            loaded = self._load(record)
        except Exception as error:
            raise_interrupt(error)
            # The content may be anything: a callable can write to all descriptors of its worker.
            logging.getLogger("enact_pool").warning(
                "a log record or a warning of %s cannot be read: %s: %s",
                "a callable"
                if record.index is None
                else f"callable {record.index} ({record.name})",
                type(error).__name__,
                error,
                extra=record.attributes,
            )
            return
        if not isinstance(loaded, logging.LogRecord):
            warnings.warn_explicit(*loaded)
            return
        logger = logging.getLogger(loaded.name)
        # The level may have changed since the run began.
        if logger.isEnabledFor(loaded.levelno):
            logger.handle(loaded)

    def _load(self, record: _Record) -> logging.LogRecord | _Warning:
        """Load a record. Raises any exception if its content is invalid."""
        if record.kind == Kind.RECORD:
            return _log_record(record)
        if record.kind != Kind.WARNING:
            raise ValueError(f"kind {record.kind}")
        text, kinds, filename, lineno = pickle.loads(record.content)
        _check(text, str)
        _check(filename, str)
        _check(lineno, int)
        if not 0 <= lineno < 1 << 31 or "\0" in filename:
            raise ValueError(f"line {lineno} of {filename!r}")
        message = text
        if record.index is not None:
            message = _Located(text, f"callable {record.index} ({record.name})")
        return message, _category(text, kinds), filename, lineno, *self._place(filename)

    def _place(self, filename: str) -> tuple[str, dict[Any, Any]]:
        """Return the module of a file, which filters may match, and its warning registry."""
        for name, module in sys.modules.copy().items():
            variables = getattr(module, "__dict__", {})
            if variables.get("__file__") == filename:
                return name, variables.setdefault("__warningregistry__", {})
        # Functions of a script travel by value, and their code has no file. For other files, the
        # name is the one that the `warnings` module derives.
        name = "__main__" if filename.startswith("<") else filename.removesuffix(".py")
        return name, self._registries.setdefault(filename, {})


def _log_record(record: _Record) -> logging.LogRecord:
    fields = pickle.loads(record.content)
    _check(fields, dict)
    for name in fields:
        _check(name, str)
    made = logging.makeLogRecord({})
    for name, default in vars(made).items():
        value = fields.get(name, default)
        if name in NUMBERS:
            _check(value, int, float)
        elif name not in ("args", "exc_info") and (value is not None or name == "name"):
            _check(value, str)
    _check(fields["levelno"], int)
    created = fields.get("created", made.created)
    if not 0 <= created < _LATEST:
        raise ValueError(f"made at {created}")
    since_start = made.relativeCreated + 1000 * (created - made.created)
    vars(made).update(fields, args=None, exc_info=None, relativeCreated=since_start)
    vars(made).update(record.attributes)
    return made


def _check(value: object, *kinds: type) -> None:
    """Raise `TypeError` if the value is not of one of these types."""
    if type(value) not in kinds:
        raise TypeError(f"expected a {kinds[0].__name__}, not a {type(value).__name__}")


class _Located(str):
    """The text of a warning and its callable.

    Texts that differ only in the callable are equal, so that filters show a warning once for all
    callables.
    """

    __slots__ = ("_text",)
    _text: str

    def __new__(cls, text: str, where: str) -> _Located:
        located = super().__new__(cls, f"{text} [{where}]")
        located._text = text
        return located

    def __eq__(self, other: object) -> bool:
        return self._text == (other._text if isinstance(other, _Located) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Any, ...]:
        return str, ("".join(self),)


def _category(text: str, kinds: Sequence[tuple[str, str]]) -> type[Warning]:
    """Return the first of these types that exists in this process and accepts a text."""
    for module, name in kinds:
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if isinstance(found, type) and issubclass(found, Warning):
            try:
                found(text)
            except Exception:
                continue  # it needs more arguments
            return found
    return Warning
