"""The parsing of commands, and the errors of those that cannot be run."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import enact_pool
from enact_pool import EventLog, ExecutionId, ExecutionStart, Ok, ParallelResult, StreamEvent
from enact_pool.__main__ import main
from enact_pool._cli.command import command
from enact_pool._cli.parameters import size
from enact_pool._cli.report import Report


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, from which modules can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


MODULES = {
    "misuse_raises": "import math\nmath.sqrt(-1)\n",
    "misuse_property": (
        "class Lazy:\n"
        "    @property\n"
        "    def f(self):\n"
        "        raise ValueError('not yet')\n"
        "lazy = Lazy()\n"
    ),
    "misuse_exits": "raise SystemExit('not today')\n",
    "misuse_unparsable": "def f(:\n",
    "misuse_lacks": "import misuse_there_is_no_such\n",
}


# Wrong commands, and their error messages.
MISUSES = [
    ("run", "Missing argument 'MODULE:FUNCTION...'"),
    ("run html:escape", "Missing option '--input'"),
    ("run html --input x", "'html': expected module:function, as in package.module:function"),
    ("run ./html.py:escape --input x", "'./html.py:escape': expected module:function"),
    ("run html:escape: --input x", "'html:escape:': expected module:function"),
    (
        "run misuse_nowhere.inner:f --input x",
        "'misuse_nowhere.inner:f': no module 'misuse_nowhere' in the current folder",
    ),
    ("run html.nope:f --input x", "'html.nope:f': no module 'html.nope' in the current"),
    (
        "run misuse_lacks:f --input x",
        "module 'misuse_lacks' cannot be imported: "
        "ModuleNotFoundError: No module named 'misuse_there_is_no_such' (",
    ),
    (
        "run misuse_raises:f --input x",
        "module 'misuse_raises' cannot be imported: ValueError: math domain error (",
    ),
    ("run misuse_raises:f --input x", "misuse_raises.py, line 2)"),
    ("run misuse_exits:f --input x", "cannot be imported: SystemExit: not today ("),
    ("run misuse_unparsable:f --input x", "cannot be imported: SyntaxError: "),
    ("run html:escap --input x", "the module has no 'escap' (did you mean 'escape'?)"),
    ("run html:escape.x --input x", "'html:escape.x': the object has no 'x'"),
    ("run math:pi --input x", "'math:pi': it is not callable: 'float' object has no run"),
    ("run html:escape --input @nowhere.txt", "--input: cannot read 'nowhere.txt': No such"),
    ("run html:escape --input x --max-memory 5XB", "'--max-memory': '5XB' is not a size:"),
    ("run html:escape --input x --max-memory 0.5B", "'0.5B' is less than a byte"),
    (
        f"run html:escape --input x --max-memory 1{400 * '0'}MB",
        "is more memory than any machine has",
    ),
    ("run misuse_property:lazy.f --input x", "'f' cannot be looked up: ValueError: not yet"),
    ("run html:escape --input x --timeline a.json --events ./a.json", "cannot be the same file"),
    ("run html:escape --input x --timeout soon", "'--timeout': 'soon' is not a number of sec"),
    ("run html:escape --input x --timeout inf", "'inf' is not a number of seconds above 0"),
    ("run html:escape --input x --workers 0", "'--workers': 0 is not in the range x>=1"),
    ("run html:escape html:unescape --input x --map", "--map accepts one function, not 2"),
    ("run html:escape --input x --events nowhere/log", "the folder 'nowhere' does not exist"),
    ("run html:escape --input x --events .", "'--events': '.' is a folder"),
    ("run html:escape --input x --events notes.txt", "--events: notes.txt is not a log of events"),
    (
        "run html:escape --input x --timeline a.png",
        "'a.png' must end in .html or .json or .json.gz",
    ),
    (
        "run html:escape --input x --timeline a.json --events a.json",
        "--events and --timeline cannot be the same file",
    ),
    ("timeline nowhere.jsonl", "'EVENTS': File 'nowhere.jsonl' does not exist"),
    ("timeline notes.txt -o a.svg", "'a.svg' must end in .html or .json or .json.gz"),
    ("timeline a.html", "'a.html' is the file of the events"),
]


def test_a_wrong_command_is_reported_and_runs_nothing(folder: Path) -> None:
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "notes.txt").write_text("no events")
    (folder / "a.html").write_text("")
    for arguments, message in MISUSES:
        result = invoke(*arguments.split(" "))
        assert message in result.output.replace("\n", " "), arguments
        assert result.exit_code == 2, arguments
    assert (folder / "notes.txt").read_text() == "no events"


def test_a_timeline_is_by_default_a_page_beside_the_log(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, list[StreamEvent]] = {}
    monkeypatch.setattr(
        "enact_pool.timeline.write_timeline",
        lambda events, path: drawn.update({path: list(events)}),
    )
    monkeypatch.setattr("enact_pool._cli.command.find_spec", lambda _: True)
    event = ExecutionStart(ExecutionId.new(), 1, 1)
    with EventLog(folder / "log.jsonl") as log:
        log.emit(event)
    result = invoke("timeline", "log.jsonl")
    assert (result.exit_code, result.output) == (0, "log.html\n")
    assert drawn == {"log.html": [event]}


def test_no_timeline_is_written_for_a_broken_log(folder: Path) -> None:
    with EventLog(folder / "log.jsonl") as log:
        log.emit(ExecutionStart(ExecutionId.new(), 1, 1))
    with (folder / "log.jsonl").open("a") as file:
        file.write("nonsense\n")
    result = invoke("timeline", "log.jsonl", "-o", "log.json")
    assert "Invalid value for EVENTS: log.jsonl, line 2: the text is not JSON" in result.output
    assert result.exit_code == 2
    assert not (folder / "log.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "run html:escape --input x --progress",
            "--progress: the option needs tqdm: {}[progress]'",
        ),
        (
            "run html:escape --input x --timeline a.html",
            "--timeline: the option needs plotly: {}[timeline]'",
        ),
        ("timeline log.jsonl -o a.html", "--output: the option needs plotly: {}[timeline]'"),
    ],
)
def test_a_missing_package_is_reported_before_anything_runs(
    arguments: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "log.jsonl").touch()
    monkeypatch.setattr("enact_pool._cli.command.find_spec", lambda _: None)
    result = invoke(*arguments.split())
    assert message.format("pip install 'enact_pool") in result.output
    assert result.exit_code == 2


def test_without_click_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Importing it again also replaces the attribute of its package, which is restored.
    monkeypatch.setattr(enact_pool, "_cli", enact_pool._cli)
    for name in [name for name in sys.modules if name.startswith("enact_pool._cli")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 2
    assert capsys.readouterr().err == "enact-pool needs click: pip install 'enact_pool[cli]'\n"


def test_sizes_have_units() -> None:
    assert [size(text) for text in ("1", "3b", "500MB", "1.5 kb", "2GiB", "1TIB")] == [
        1,
        3,
        500_000_000,
        1500,
        2 << 30,
        1 << 40,
    ]


def test_each_command_has_a_help_text() -> None:
    for which in ("", "run", "timeline"):
        result = invoke(*which.split(), "--help")
        assert result.exit_code == 0
        assert f"Usage: command {which}".strip() in result.output
        assert "Example" in result.output


def test_values_that_json_would_change_are_written_as_reprs() -> None:
    stream = io.StringIO()
    report = Report(stream, True)
    for value in ({"a": [1, {"b": None}]}, {1: "a", "1": "b"}, [{None: 2}]):
        report.write(ParallelResult("f", ExecutionId.new(), Ok(value)))
    kept, *changed = map(json.loads, stream.getvalue().splitlines())
    assert kept["value"] == {"a": [1, {"b": None}]}
    assert "value_is_repr" not in kept
    assert [line["value"] for line in changed] == ["{1: 'a', '1': 'b'}", "[{None: 2}]"]
    assert all(line["value_is_repr"] for line in changed)
