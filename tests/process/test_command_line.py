"""The command line in real processes."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from enact_pool import EventLog, ExecutionEnd, ExecutionStart, read_events
from enact_pool._cli.command import command

ACTS = r'''
import ctypes, subprocess, time

def say(text):
    """Print in one write, so that lines of other processes cannot be in between."""
    print(text + "\n", end="", flush=True)

say("imported")

def shout(text):
    say("a print")
    return text.upper()

def fail(text):
    raise ValueError("boom\nand more")

def crash(text):
    ctypes.string_at(0)

def greedy(text):
    """Run a program that reads standard input to its end."""
    return subprocess.run(["cat"], stdout=subprocess.PIPE).stdout.decode() + text

def complex_number(text):
    return complex(text), text

def wait(text):
    say("waiting")
    time.sleep(60)
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acts.py").write_text(ACTS)
    return tmp_path


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "enact_pool", *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(folder: Path, *arguments: str, input: str = "") -> tuple[int, str, str]:
    process = started(folder, *arguments)
    output, errors = process.communicate(input, timeout=50)
    return process.returncode, output, errors


def test_functions_are_run_on_a_text(folder: Path) -> None:
    """Prints of the functions and of their module are not among the results."""
    functions = ["acts:shout", "acts:fail", "acts:crash", "html:escape"]
    (folder / "input.txt").write_text("<hello>")
    status, output, errors = done(folder, "run", *functions, "--input", "@input.txt")
    assert status == 1
    assert re.sub(r", [\d.]+ m?s after it began$", "", output, flags=re.M) == (
        "0 shout: <HELLO>\n"
        "1 fail: error: ValueError: boom\n"
        "    and more\n"
        "2 crash: error: worker was killed by SIGSEGV while running callable 2 (crash)\n"
        "3 escape: &lt;hello&gt;\n"
    )
    assert {"imported", "a print"} <= set(errors.splitlines())
    assert re.search(r"^4 results in \d+\.\d\d s: 2 ok, 1 failed, 1 crashed$", errors, re.M)


def test_results_are_printed_as_json_and_events_are_logged(folder: Path) -> None:
    arguments = ["--map", "--input", "-", "--json", "--events", "log.jsonl", "--workers", "2"]
    run = ["run", "acts:complex_number", "--progress", *arguments]
    status, output, errors = done(folder, *run, input="1\nx\r\n3")
    assert status == 1
    assert "3/3" in errors, "a bar"
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line.pop("duration_ms") > 0 for line in lines] == [True] * 3
    assert "acts.py" in lines[1].pop("traceback")
    events = list(read_events(folder / "log.jsonl"))
    assert isinstance(events[0], ExecutionStart)
    assert isinstance(events[-1], ExecutionEnd)
    ids = [event.execution_id for event in events if event.type == "data-step-end"]
    common = [
        {"index": index, "name": "complex_number", "execution_id": id}
        for index, id in enumerate(ids)
    ]
    shown: dict[str, Any] = {"ok": True, "type": "tuple", "value_is_repr": True}
    error = "complex() arg is a malformed string"
    assert lines == [
        {**common[0], **shown, "value": "((1+0j), '1')"},
        {**common[1], "ok": False, "error": error, "type": "ValueError"},
        {**common[2], **shown, "value": "((3+0j), '3')"},
    ]


def test_lines_are_mapped_as_they_arrive_and_no_callable_reads_them(folder: Path) -> None:
    """When the reader of the results closes the pipe, the command exits silently."""
    with started(folder, "run", "acts:greedy", "--map", "--input", "-", "--json") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for line in "abc":
            process.stdin.write(line + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["value"] == line
        process.stdout.close()
        process.stdin.write("d\n")
        process.stdin.flush()
        assert process.wait() == 141
        assert set(process.stderr.read().splitlines()) == {"imported"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_results_that_cannot_be_written_cause_no_traceback() -> None:
    command = [sys.executable, "-m", "enact_pool", "run", "html:escape", "--input", "x"]
    with open("/dev/full", "w") as full:
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert process.stderr == "Error: cannot write results: No space left on device\n"
    assert process.returncode == 1


def test_an_interrupt_ends_the_run(folder: Path) -> None:
    with started(folder, "run", "acts:wait", "--input", "") as process:
        assert process.stderr is not None
        while process.stderr.readline() != "waiting\n":
            pass
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert (process.returncode, output) == (130, "")
    assert errors.split() == ["interrupted"]


def test_a_line_that_is_not_utf_8_is_an_input_like_others(folder: Path) -> None:
    """Names of files may have any bytes."""
    name = os.fsdecode(b"caf\xe9")
    (folder / name).write_text("12345")
    (folder / "other").write_text("1")
    run = [sys.executable, "-m", "enact_pool", "run", "os.path:getsize", "--map", "--json"]
    given = b"caf\xe9\nother\n"
    ended = subprocess.run([*run, "--input", "-"], input=given, capture_output=True, cwd=folder)
    assert [json.loads(line)["value"] for line in ended.stdout.splitlines()] == [5, 1]
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_events_that_cannot_be_written_are_reported_after_the_results(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(log: EventLog, _: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "log.jsonl")

    monkeypatch.chdir(folder)
    monkeypatch.setattr(EventLog, "emit", full)
    run = ["run", "html:escape", "html:unescape", "--input", "x", "--events", "log.jsonl"]
    result = CliRunner().invoke(command, run)
    assert result.output == (
        "0 escape: x\n1 unescape: x\nError: cannot write 'log.jsonl': No space left on device\n"
    )
    assert result.exit_code == 1


def test_a_timeline_of_a_run_is_written(folder: Path) -> None:
    run = ["run", "acts:crash", "html:escape", "--input", "x"]
    status, _, errors = done(folder, *run, "--events", "log.jsonl", "--timeline", "run.json")
    assert (status, "Error" in errors) == (1, False)
    trace = json.loads((folder / "run.json").read_text())
    assert {"crash", "escape"} <= {event.get("name") for event in trace["traceEvents"]}
    assert done(folder, "timeline", "log.jsonl", "-o", "again.json") == (0, "again.json\n", "")
    assert json.loads((folder / "again.json").read_text()) == trace
