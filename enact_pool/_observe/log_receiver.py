"""Log records and warnings of callables, in the parent: told as if they came from here.

They come from `forwarding`, and are kept until the run has time to tell them. A record
goes to the logger that has its name here; a warning to the filters of this process,
and to whatever shows warnings here.
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
    """The levels from which on loggers let records pass here, by their names; the root's is ""."""
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
    """One of either kind; of which callable, if that is known."""

    kind: int
    content: bytes
    index: int | None
    name: str | None
    execution_id: int | None

    @property
    def attributes(self) -> dict[str, object]:
        """What is added to a record that is told of it."""
        return log_attributes(self.index, self.name, self.execution_id)


# What `warnings.warn_explicit` takes: message, category, file, line, module and registry.
_Warning = tuple[str, type[Warning], str, int, str, dict[Any, Any]]

# In seconds: the end of the year 9999, after which clocks do not show a time.
_LATEST = 253_402_300_800


@define
class LogReceiver:
    """Logs and warns here what the callables of one run have logged and warned of."""

    _delivery: Delivery
    _run: RunInfo = field(init=False)
    # What was warned of in files that are no modules here.
    _registries: dict[str, dict[Any, Any]] = field(factory=dict, init=False)

    def run_started(self, run: RunInfo) -> None:
        """Take names and ids from this run."""
        self._run = run

    def log_received(self, task: int | None, kind: int, content: bytes) -> None:
        """Keep a record until handlers may be called."""
        name = id = None
        if task is not None:
            name, id = self._run.name_of(task), self._run.id_of(task)
        self._delivery.add(self._log, _Record(kind, content, task, name, id))

    def _log(self, record: _Record) -> None:
        """Log it. Raises what handlers raise, or a warning that filters make an error."""
        try:
            made = self._made(record)
        except Exception as error:
            raise_interrupt(error)
            # A callable can write to whatever its worker has open.
            logging.getLogger("enact_pool").warning(
                "what %s has logged cannot be read: %s: %s",
                "a callable"
                if record.index is None
                else f"callable {record.index} ({record.name})",
                type(error).__name__,
                error,
                extra=record.attributes,
            )
            return
        if not isinstance(made, logging.LogRecord):
            warnings.warn_explicit(*made)
            return
        logger = logging.getLogger(made.name)
        # It may not be any more.
        if logger.isEnabledFor(made.levelno):
            logger.handle(made)

    def _made(self, record: _Record) -> logging.LogRecord | _Warning:
        """What it is here. Raises whatever if it makes no sense."""
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
        """The module of a file, by which filters may go, and what it has warned of."""
        for name, module in list(sys.modules.items()):
            variables = getattr(module, "__dict__", {})
            if variables.get("__file__") == filename:
                return name, variables.setdefault("__warningregistry__", {})
        # What a script defines travels by value, and has no file then; the rest is what
        # the interpreter takes for a module.
        name = "__main__" if filename.startswith("<") else filename.removesuffix(".py")
        return name, self._registries.setdefault(filename, {})


def _log_record(record: _Record) -> logging.LogRecord:
    fields = pickle.loads(record.content)
    _check(fields, dict)
    for name in fields:
        _check(name, str)
    made = logging.makeLogRecord({})
    for name, usual in vars(made).items():
        value = fields.get(name, usual)
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
    """Raise `TypeError` if it is not of one of these types."""
    if type(value) not in kinds:
        raise TypeError(f"a {type(value).__name__} where there should be a {kinds[0].__name__}")


class _Located(str):
    """The text of a warning, with where it comes from.

    It equals those that differ in that only: what is shown once, is shown once for all.
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
    """The first of these types that is known here, and is made of a text."""
    for module, name in kinds:
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if isinstance(found, type) and issubclass(found, Warning):
            try:
                found(text)
            except Exception:
                continue  # it wants to be told more
            return found
    return Warning
