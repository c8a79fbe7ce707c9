"""Each program prints the same as a script and with its definitions in a module."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from user_programs import Outcome, Program, find_programs, run_program

PROGRAMS = find_programs()


def assert_printed(outcome: Outcome, expected: list[str], program: Program) -> None:
    """Fail, with the whole output, if a program printed other lines or failed."""
    shown = "\n".join([*outcome.lines, "-- stderr --", outcome.stderr])
    assert outcome.lines == expected, shown
    assert outcome.code == 0, shown
    assert program.may_write_to_stderr or not outcome.stderr, shown


@pytest.mark.parametrize(
    ("program", "way"),
    [
        pytest.param(program, way, id=f"{program.kind}/{program.name} {way}")
        for program in PROGRAMS
        for way in program.ways
    ],
)
def test_a_script_prints_the_same_with_its_definitions_in_a_module(
    program: Program, way: str, tmp_path: Path
) -> None:
    if sys.version_info < program.oldest_python:
        pytest.skip(f"needs Python {program.oldest_python}")
    for module in program.needs:
        if importlib.util.find_spec(module) is None:  # importing it here may take seconds
            pytest.skip(f"needs {module}")
    expected = program.expected
    if program.has_control and way == "file":
        folder = tmp_path / "control"
        folder.mkdir()
        control = run_program(program.write_control(folder), folder)
        assert_printed(control, expected or control.lines, program)
        expected = control.lines
    assert expected, "a program must have expected lines or a control"
    folder = tmp_path / "script"
    folder.mkdir()
    assert_printed(run_program(program.text, folder, way, program.name), expected, program)


def test_there_are_at_least_60_programs() -> None:
    assert len(PROGRAMS) >= 60
    assert sum("-c" in program.ways for program in PROGRAMS) >= 10
    assert sum("stdin" in program.ways for program in PROGRAMS) >= 10


def test_no_program_has_a_main_guard() -> None:
    """Users need no guard, so no program may depend on one."""
    assert not [program for program in PROGRAMS if 'if __name__ == "__main__"' in program.text]
