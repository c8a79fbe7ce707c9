"""Each program prints the same as a script and with its definitions in a module."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from user_programs import Outcome, Program, find_programs, run_program

PROGRAMS = find_programs()


def assert_printed(outcome: Outcome, expected: list[str], program: Program) -> None:
    """Fail with all that is known of a program that printed something else."""
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
def test_a_script_prints_what_it_does_with_its_definitions_in_a_module(
    program: Program, way: str, tmp_path: Path
) -> None:
    if sys.version_info < program.oldest_python:
        pytest.skip(f"needs Python {program.oldest_python}")
    for module in program.needs:
        if importlib.util.find_spec(module) is None:  # to import it here may take seconds
            pytest.skip(f"needs {module}")
    expected = program.expected
    if program.has_control and way == "file":
        folder = tmp_path / "control"
        folder.mkdir()
        control = run_program(program.write_control(folder), folder)
        assert_printed(control, expected or control.lines, program)
        expected = control.lines
    assert expected, "a program says what it prints, or has a control"
    folder = tmp_path / "script"
    folder.mkdir()
    assert_printed(run_program(program.text, folder, way, program.name), expected, program)


def test_there_are_enough_programs() -> None:
    assert len(PROGRAMS) >= 60
    assert sum("-c" in program.ways for program in PROGRAMS) >= 10
    assert sum("stdin" in program.ways for program in PROGRAMS) >= 10


def test_a_program_has_no_guard() -> None:
    """Users need none, so it must not be what makes a program work."""
    assert not [program for program in PROGRAMS if 'if __name__ == "__main__"' in program.text]
