"""Progress bars; a run does not depend on them."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
import sample_callables as samples
from tqdm import tqdm

from enact_pool import Ok, Pool, StreamEvent, imap_parallel, iter_parallel, run_parallel


class Terminal(io.StringIO):
    """Looks like a terminal to a bar."""

    def isatty(self) -> bool:
        return True

    @property
    def left_over(self) -> list[str]:
        """Return the visible lines at the end."""
        return [line.rpartition("\r")[2] for line in self.getvalue().split("\n")]


@contextmanager
def seen() -> Iterator[Terminal]:
    """Replace stderr by a terminal."""
    with redirect_stderr(Terminal()) as terminal:
        yield terminal
    assert not tqdm._instances, "bars left open"


class Bar:
    """A minimal bar of the caller, which keeps its updates."""

    def __init__(self) -> None:
        self.updates: list[int] = []

    def update(self, n: int) -> None:
        self.updates.append(n)


def test_a_bar_that_counts_all_outcomes_stays_visible() -> None:
    callables = [samples.square, samples.fail, samples.segfault, samples.square]
    with seen() as terminal:
        results = run_parallel(callables, 3, progress=True)
    assert [result.output.is_ok for result in results] == [True, False, False, True]
    bar, after = terminal.left_over
    assert bar.startswith("100%")
    assert "4/4 [" in bar
    assert bar.endswith("1 failed, 1 crashed]")
    assert after == ""


def test_no_bar_is_shown_if_stderr_is_not_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the bar is forced; without a stderr, not even then."""
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with Pool(1) as pool:
        pool.run_parallel([samples.square], 3, progress=True)
        assert file.getvalue() == ""
        pool.run_parallel([samples.square], 3, progress="force")
        assert "1/1" in file.getvalue()
        monkeypatch.setattr(sys, "stderr", None)
        for progress in (True, "force"):
            assert pool.run_parallel([samples.square], 3, progress=progress)[0].output == Ok(9)


def test_a_run_without_a_bar_imports_neither_progress_nor_tqdm() -> None:
    script = """
import sys
from enact_pool import run_parallel
run_parallel([len], "a")
assert "enact_pool._observe.progress" not in sys.modules
run_parallel([len], "a", progress=True)
assert "tqdm" not in sys.modules
sys.modules["tqdm"] = None
try:
    run_parallel([len], "a", progress=True)
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=50
    )
    assert done.stderr == ""
    assert done.stdout == "progress=True needs tqdm: pip install 'enact_pool[progress]'\n"


@pytest.mark.parametrize("progress", [None, 1, "yes", object, []])
def test_an_object_that_is_not_a_bar_is_refused(progress: Any) -> None:
    with pytest.raises(TypeError, match="progress must be True, False, 'force' or a bar"):
        imap_parallel(len, [""], progress=progress)


def test_a_bar_is_updated_as_outcomes_become_known(tmp_path: Path) -> None:
    """The bar ignores the order: the first callable waits until the others are counted."""
    gate = tmp_path / "gate"

    class Opening(Bar):
        def update(self, n: int) -> None:
            super().update(n)
            if sum(self.updates) == 3:
                gate.touch()

    bar = Opening()
    callables = [samples.WaitFor(str(gate)), *[samples.square] * 3]
    results = run_parallel(callables, 3, max_workers=2, progress=bar)
    assert [result.output.is_ok for result in results] == [True] * 4
    assert sum(bar.updates) == 4


def test_a_bar_is_refreshed_while_nothing_ends(tmp_path: Path) -> None:
    """The callable waits until the bar was refreshed twice."""
    gate = tmp_path / "gate"

    class Refreshing(Bar):
        refreshed = 0

        def refresh(self) -> None:
            self.refreshed += 1
            if self.refreshed == 2:
                gate.touch()

    bar = Refreshing()
    assert run_parallel([samples.WaitFor(str(gate))], 3, progress=bar)[0].output.is_ok
    assert bar.updates == [1]


def test_a_bar_of_the_caller_receives_failures_and_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # its thread would outlive the test
    with tqdm(total=4, file=io.StringIO()) as bar:
        for _ in range(2):
            run_parallel([samples.square, samples.fail], 3, progress=bar)
        assert (bar.n, bar.disable) == (4, False)
        assert "failed=1" in str(bar)


def test_a_bar_that_raises_costs_no_result() -> None:
    class Broken(Bar):
        def update(self, n: int) -> None:
            super().update(n)
            raise LookupError("no bar")

    bar = Broken()
    with pytest.raises(LookupError, match="no bar") as caught:
        run_parallel([samples.square] * 3, 3, progress=bar)
    assert [result.output for result in vars(caught.value)["results"]] == [Ok(9)] * 3
    assert len(bar.updates) == 1


def test_a_closed_terminal_costs_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Terminal):
        def write(self, _text: str) -> int:
            raise BrokenPipeError(errno.EPIPE, "gone")

    monkeypatch.setattr(sys, "stderr", Gone())
    results = run_parallel([samples.square] * 3, 3, progress=True)
    assert [result.output for result in results] == [Ok(9)] * 3
    closed = Terminal()
    monkeypatch.setattr(sys, "stderr", closed)
    with Pool(1) as pool:
        for result in imap_parallel(samples.square, [3, 3], pool=pool, progress=True):
            assert result.output == Ok(9)
            closed.close()


def test_prints_meanwhile_have_their_own_lines() -> None:
    class Printing:
        def emit(self, event: StreamEvent) -> None:
            print(f"event {event.type}")

    with seen() as terminal, redirect_stdout(terminal):
        for result in iter_parallel([samples.square] * 3, 3, Printing(), progress=True):
            print(f"result {result.output}")
    *lines, bar, after = terminal.left_over
    assert sorted(lines) == ["event data-step-end"] * 3 + ["result Ok(9)"] * 3
    assert "3/3" in bar
    assert after == ""


def test_bars_of_threads_and_of_nested_runs_do_not_disturb_each_other() -> None:
    """A nested bar is below the other, and disappears."""
    both = Barrier(2)

    class Running:
        def emit(self, event: StreamEvent) -> None:
            both.wait(30)
            run_parallel([samples.square], 3, progress=True)

    def run() -> None:
        results = run_parallel([samples.square] * 3, 3, Running(), progress=True)
        assert [result.output for result in results] == [Ok(9)] * 3

    threads = [Thread(target=run) for _ in range(2)]
    with seen() as terminal:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "1/1" in terminal.getvalue()
    assert terminal.getvalue().count("3/3") >= 2


def test_bars_are_closed_when_a_run_is_abandoned() -> None:
    class Interrupting:
        def emit(self, event: StreamEvent) -> None:
            raise KeyboardInterrupt

    with seen() as terminal, Pool(1) as pool:
        with pytest.raises(KeyboardInterrupt):
            pool.run_parallel([samples.square] * 2, 3, Interrupting(), progress=True)
        results = imap_parallel(samples.square, iter([3, 3, 3]), pool=pool, progress=True)
        assert next(results).output == Ok(9)
        results.close()
    assert terminal.getvalue().count("\n") == 2


def test_a_forked_child_does_not_change_the_bar_of_its_parent() -> None:
    statuses: list[int] = []

    class Forking:
        def emit(self, event: StreamEvent) -> None:
            shown = terminal.getvalue()
            if child := os.fork():
                statuses.append(os.waitpid(child, 0)[1])
                return
            with Pool(1) as pool:
                fine = pool.run_parallel([samples.square], 3, progress=True)[0].output == Ok(9)
            new = terminal.getvalue()[len(shown) :]
            os._exit(0 if fine and "1/1" in new and "\x1b[A" not in new else 1)

    with seen() as terminal:
        run_parallel([samples.square], 3, Forking(), progress=True)
    assert statuses == [0]
    assert terminal.left_over[-2].startswith("100%")
