"""Log records and warnings of callables, handled in the parent."""

from __future__ import annotations

import enum
import itertools
import logging
import logging.config
import os
import pickle
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sample_callables as samples

from enact_pool import Err, Ok, Pool, StepEnd, iter_parallel, map_parallel, run_parallel


class Collector(logging.Handler):
    """Keeps all records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@contextmanager
def handled_by(handler: logging.Handler, name: str = "task", level: int = 0) -> Iterator[None]:
    """Make the handler the only one of a logger, and set the level of that logger."""
    logger = logging.getLogger(name)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before[1]
        logger.setLevel(before[0])


# Python 3.12 and later counts threads that were joined, but not yet ended by the kernel.
FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


class NoPickle:
    def __repr__(self) -> str:
        return "<no pickle>"

    def __reduce__(self) -> Any:
        raise RuntimeError("it does not travel")


def log_by_all_means(number: int) -> None:
    log = logging.getLogger("task.part")
    log.info("args: %s", NoPickle(), extra={"plain": {number: [1]}, "odd": (NoPickle(),)})
    try:
        raise KeyError(number)
    except KeyError:
        log.exception("raised")
    log.debug("not wanted")
    thread = threading.Thread(target=log.info, args=("in a thread",), name="helper")
    thread.start()
    thread.join()
    if (child := os.fork()) == 0:
        log.info("in a child")
        os._exit(0)
    os.waitpid(child, 0)
    log.warning("long: %s", "x" * 1_000_000)


@FORKS
def test_records_reach_the_handlers_of_the_same_logger_in_the_parent() -> None:
    handler = Collector()
    with handled_by(handler, level=logging.INFO):
        (result,) = run_parallel([log_by_all_means], 5, forward_logs=True)
        run_parallel([log_by_all_means], 5)
    assert result.output == Ok(None)
    texts = handler.texts
    assert texts[:4] == ["args: <no pickle>", "raised", "in a thread", "in a child"]
    assert texts[4].startswith("long: xxx")
    assert 10_000 < len(texts[4]) < 48 * 1024
    assert len(texts) == 5
    first, raised, threaded, child, _ = handler.records
    assert {(r.callable_name, r.callable_index, r.execution_id) for r in handler.records} == {
        ("log_by_all_means", 0, result.execution_id)
    }
    assert (first.plain, first.odd, first.name) == ({5: [1]}, ("<no pickle>",), "task.part")
    assert raised.exc_text.endswith("KeyError: 5")
    assert threaded.threadName == "helper"
    assert len({os.getpid(), first.process, child.process}) == 3


class Level(enum.IntEnum):
    HIGH = 35


class Name(str, enum.Enum):
    TASK = "task"


def log_oddly(_: object) -> None:
    log = logging.getLogger(Name.TASK)
    log.log(Level.HIGH, "subclasses", extra={"kind": Level.HIGH})
    threading.current_thread().name = "n" * 60_000
    log.warning("long name", extra={"k" * 60_000: "v" * 60_000})
    threading.current_thread().name = "MainThread"
    log.handle(logging.makeLogRecord({"name": b"task", "levelno": 30, "msg": "other name"}))
    log.handle(logging.makeLogRecord({"name": "task", "levelno": 30, "created": "now"}))
    log.handle(logging.makeLogRecord({"name": "task", "levelno": 30, "created": 1e15}))
    items: list[Any] = []
    for _ in range(20):
        items = [items] * 20
    log.warning("deep", extra={"items": items})
    warnings.warn_explicit("long file", UserWarning, "f" * 60_000, 1)
    odd: Any = type("Odd", (UserWarning,), {"__module__": ["x"]})
    warnings.warn("odd kind", odd, stacklevel=1)
    warnings.warn_explicit("odd line", UserWarning, "f", -1)


def test_odd_records_and_warnings_are_handled_or_dropped_and_the_run_goes_on() -> None:
    handler, own = Collector(), Collector()
    with (
        handled_by(handler),
        handled_by(own, "enact_pool"),
        handled_by(own, "b'task'"),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        results = run_parallel([log_oddly, samples.square], 3, forward_logs=True)
    assert [result.output for result in results] == [Ok(None), Ok(9)]
    assert handler.texts == ["subclasses", "long name", "", "deep"]
    first, long, *_ = handler.records
    assert [type(value) for value in (first.levelno, first.kind, first.name)] == [int, int, str]
    assert 100 < len(long.threadName) < 1000
    assert own.texts[0] == "other name"
    assert "cannot be read: ValueError: made at" in own.texts[1]
    assert own.records[1].callable_index == 0
    texts = [str(warning.message).partition(" [")[0] for warning in caught]
    assert texts == ["long file", "odd kind", "odd line"]
    assert [warning.category for warning in caught] == [UserWarning] * 3


def write_nonsense(_: object) -> None:
    """Write bytes to the socket of the worker, as the content of a record or a warning."""
    from enact_pool._ipc.side_channel import Kind, header

    for number in map(int, os.listdir("/dev/fd")):
        try:
            side = socket.socket(fileno=os.dup(number))
        except OSError:
            continue
        with side:
            if side.family == socket.AF_UNIX:
                for kind in (Kind.RECORD, Kind.WARNING, 77):
                    for content in (b"", b"nonsense", pickle.dumps({1: 2}), pickle.dumps({})):
                        side.send(header(kind, 0) + content)


def test_an_invalid_record_from_a_worker_is_reported() -> None:
    own = Collector()
    with handled_by(own, "enact_pool"):
        (result,) = run_parallel([write_nonsense], 0, forward_logs=True)
    assert result.output == Ok(None)
    assert len(own.texts) == 12
    assert {text.partition(": ")[0] for text in own.texts} == {
        "a log record or a warning of a callable cannot be read"
    }


class LogThen:
    """Logs, waits until the record is handled, and crashes."""

    name = "log_then"

    def __init__(self, gate: str) -> None:
        self.gate = gate

    def run(self, input: Any) -> Any:
        logging.getLogger("task").warning("live")
        while not os.path.exists(self.gate):
            time.sleep(0.001)
        logging.getLogger("task").warning("last words")
        samples.segfault(input)


class Opening(Collector):
    """Opens a gate at the first record."""

    def __init__(self, gate: Path) -> None:
        super().__init__()
        self.gate = gate

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        self.gate.touch()


def test_records_arrive_while_the_callable_runs_and_outlive_it(tmp_path: Path) -> None:
    handler = Opening(tmp_path / "gate")
    with handled_by(handler):
        run_parallel([LogThen(str(tmp_path / "gate"))], 0, forward_logs=True, timeout=30)
    assert handler.texts == ["live", "last words"]


def log_index(index: int) -> int:
    logging.getLogger("task").warning("%d", index)
    return index


class InOrder(Collector):
    """Also an emitter: keeps records and events in the order of their arrival."""

    def emit(self, record: Any) -> None:
        self.records.append(record)


def test_each_record_is_handled_before_the_outcome_of_its_callable() -> None:
    """Also for quick callables, whose answers are received on another way."""
    both = InOrder()
    with handled_by(both):
        results = map_parallel(log_index, range(300), both, forward_logs=True, max_workers=2)
    ended: set[str] = set()
    logged: dict[str, int] = {}
    for item in both.records:
        if isinstance(item, StepEnd):
            ended.add(item.execution_id)
        else:
            assert item.execution_id not in ended
            logged[item.execution_id] = int(item.getMessage())
            assert item.callable_index == logged[item.execution_id]
    assert logged == {result.execution_id: result.output.unwrap() for result in results}


def flood(_: object) -> None:
    for number in itertools.count():
        logging.getLogger("task").warning("%d", number)


class Slow(Collector):
    """Handles records more slowly than they are logged."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        time.sleep(0.001)


def test_a_callable_that_logs_endlessly_exceeds_its_time_limit() -> None:
    handler = Slow()
    with handled_by(handler):
        (result,) = run_parallel([flood], 0, forward_logs=True, timeout=0.3)
    assert result.error is not None
    assert result.error.code == "timeout"
    assert handler.texts == [str(number) for number in range(len(handler.texts))]


class Failing(Collector):
    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        raise OSError(f"no room for {record.getMessage()}")


def test_an_exception_of_a_handler_is_raised_at_the_end() -> None:
    handler = Failing()
    with handled_by(handler), pytest.raises(OSError, match="no room") as caught:
        map_parallel(log_index, range(20), forward_logs=True)
    assert str(caught.value) == f"no room for {handler.texts[0]}"
    assert [r.output for r in caught.value.results] == [Ok(n) for n in range(20)]  # type: ignore[attr-defined]
    assert len(handler.records) == 20


def configure(path: str) -> tuple[int, int]:
    """Configure logging in the worker itself."""
    logging.basicConfig(filename=path, level=logging.INFO, format="%(message)s")
    logging.getLogger("task").info("%s", "its own, too")
    logging.getLogger("task").debug("for the parent")
    logging.getLogger("other").debug("for no handler")
    return len(logging.getLogger().handlers), logging.getLogger().level


def traces(_: object) -> tuple[bool, int, Any, Any]:
    """Return the state that could stay: levels, warning filters, and patched functions."""
    enabled = logging.getLogger("task").isEnabledFor(logging.DEBUG)
    patched = logging.Logger.callHandlers.__module__, logging.Logger.getEffectiveLevel.__module__
    return enabled, len(warnings.filters), patched, warnings.showwarning.__module__


def test_handlers_and_levels_in_the_worker_are_independent(tmp_path: Path) -> None:
    handler, path = Collector(), tmp_path / "log"
    with Pool(1) as pool, handled_by(handler, level=logging.DEBUG):
        before = pool.run_parallel([traces], 0)
        (result,) = pool.run_parallel([configure], str(path), forward_logs=True)
        assert result.output == Ok((1, logging.INFO))
        assert pool.run_parallel([traces], 0)[0].output == before[0].output
    assert handler.texts == ["its own, too", "for the parent"]
    assert path.read_text() == "its own, too\n"


def log_at_the_root(_: object) -> int:
    logging.warning("at the root")
    return len(logging.getLogger().handlers)


def test_forwarded_records_are_not_also_printed() -> None:
    with handled_by(Collector(), "root"):
        (result,) = run_parallel([log_at_the_root], 0, forward_logs=True, capture_output=True)
    assert (result.output, result.stdout, result.stderr) == (Ok(0), "", "")


def warn(_: object) -> None:
    warnings.warn("is old", DeprecationWarning, stacklevel=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("is known", UserWarning, stacklevel=1)


def test_warnings_go_through_the_filters_here() -> None:
    """Once for each place, with the callable's name, and with its file and line."""
    with Pool(2) as pool, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        results = pool.run_parallel([warn] * 50, 0, forward_logs=True)
        assert {result.output for result in results} == {Ok(None)}
        warnings.simplefilter("ignore")
        pool.run_parallel([warn] * 5, 0, forward_logs=True)
    (warning,) = caught
    text = str(warning.message)
    assert text.startswith("is old [callable ")
    assert text.endswith(" (warn)]")
    line = warn.__code__.co_firstlineno + 1
    assert (warning.category, warning.filename, warning.lineno) == (
        DeprecationWarning,
        __file__,
        line,
    )


def test_a_warning_that_is_an_error_here_is_raised_in_the_callable() -> None:
    """Workers use the filters that the caller has when the run begins."""
    warned, other = run_parallel([warn, samples.square], 3, forward_logs=True)
    assert (warned.output, other.output) == (Err("is old"), Ok(9))


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.001)


def log_when_asked(folder: Path) -> None:
    wait_for(folder / "asked")
    logging.getLogger("task").warning("done")
    (folder / "logged").touch()


def test_records_are_handled_even_if_the_run_is_abandoned(tmp_path: Path) -> None:
    handler = Collector()
    with handled_by(handler):
        results = iter_parallel([str, log_when_asked], tmp_path, forward_logs=True)
        next(results)
        (tmp_path / "asked").touch()
        wait_for(tmp_path / "logged")
        results.close()
    assert handler.texts == ["done"]
    assert handler.records[0].callable_index == 1


def leave_thread(_: object) -> None:
    threading.Thread(target=time.sleep, args=(0.5,), name="left").start()


def test_the_warning_of_a_thread_that_was_left_running_names_its_callable() -> None:
    own = Collector()
    with handled_by(own, "enact_pool"):
        run_parallel([leave_thread], 0)
    (record,) = own.records
    assert (record.callable_name, record.callable_index) == ("leave_thread", 0)
    assert record.execution_id.startswith("exec_")


def silence(_: object) -> None:
    logging.getLogger("task")
    logging.config.dictConfig({"version": 1})
    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore", "only this")
    warnings.simplefilter("ignore")


def log_and_warn(_: object) -> None:
    logging.getLogger("task").warning("logged")
    warnings.warn("only this", stacklevel=1)
    warnings.warn("warned", stacklevel=1)


def test_a_callable_cannot_silence_those_after_it() -> None:
    """But it may ignore a kind of warnings, as libraries do when they are imported."""
    handler = Collector()
    with handled_by(handler), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_parallel([silence, log_and_warn], 0, forward_logs=True, max_workers=1)
    assert handler.texts == ["logged"]
    assert [str(warning.message) for warning in caught] == ["warned [callable 1 (log_and_warn)]"]


def log_late(folder: Path, source: str) -> None:
    wait_for(folder / "asked")
    logging.getLogger("task").warning(source)
    (folder / source).touch()


def leave_loggers(folder: Path) -> None:
    def begin_another() -> None:
        threading.Thread(target=log_late, args=(folder, "thread")).start()
        log_late(folder, "starter")

    # Before any thread starts: with several threads, Python 3.12 warns about forks.
    if os.fork() == 0:
        log_late(folder, "child")
        os._exit(0)
    threading.Thread(target=begin_another).start()


def ask_them(folder: Path) -> None:
    logging.getLogger("task").warning("asks")
    (folder / "asked").touch()
    for source in ("thread", "starter", "child"):
        wait_for(folder / source)
    log = logging.getLogger("task")
    own = threading.Thread(target=log.warning, args=("own",))
    own.start()
    own.join()


@FORKS
def test_a_thread_that_was_left_running_does_not_log_for_another_callable(tmp_path: Path) -> None:
    handler = Collector()
    with handled_by(handler), handled_by(Collector(), "enact_pool"):
        run_parallel([leave_loggers, ask_them], tmp_path, forward_logs=True, max_workers=1)
    by_text = {record.getMessage(): record.callable_index for record in handler.records}
    assert (by_text.pop("asks"), by_text.pop("own")) == (1, 1)
    assert by_text.keys() == {"thread", "starter", "child"}
    # As long as it has no outcome, it may be handled.
    assert set(by_text.values()) <= {None, 0}
