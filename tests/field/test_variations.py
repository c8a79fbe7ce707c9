"""Each kind of program has a script with further definitions, which checks them itself."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
import variation_checks
from user_programs import Program, find_programs, run_program

VARIATIONS = [
    Program(path.stem, path.stem, path.read_text())
    for path in sorted((Path(__file__).parent / "variations").glob("*.py"))
]


@pytest.mark.parametrize("script", [pytest.param(one, id=one.kind) for one in VARIATIONS])
def test_variations_of_a_kind_pass_their_checks(script: Program, tmp_path: Path) -> None:
    for module in script.needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    shutil.copy(variation_checks.__file__, tmp_path)
    # A fixed name, since a script named "dataclasses" would hide that module.
    outcome = run_program(script.text, tmp_path, name="variations")
    shown = "\n".join([*outcome.lines, "-- stderr --", outcome.stderr])
    assert [line for line in outcome.lines if not line.startswith("right: ")] == [], shown
    assert outcome.code == 0, shown
    assert not outcome.stderr, shown
    assert len(outcome.lines) >= 5, shown


def test_every_kind_of_program_has_variations() -> None:
    assert {script.kind for script in VARIATIONS} == {program.kind for program in find_programs()}
