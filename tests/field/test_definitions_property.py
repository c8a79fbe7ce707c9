"""Random definitions behave the same in a script and in a module, and results change none."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from drawn_programs import programs
from hypothesis import HealthCheck, Phase, given, settings
from user_programs import Program, run_program


@pytest.mark.timeout(300)
@given(text=programs())
@settings(
    max_examples=15,
    deadline=None,
    # No shrinking: each step would start two processes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_a_script_and_a_module_with_the_same_definitions_print_the_same_results(text: str) -> None:
    program = Program("property", "drawn", text)
    with tempfile.TemporaryDirectory() as folder:
        control = run_program(program.write_control(Path(folder)), Path(folder))
        outcome = run_program(text, Path(folder))
    assert control.code == 0, f"{text}\n\n{control}"
    assert control.lines[-1] == "changed: []", f"{text}\n\n{control}"
    assert outcome.code == 0, f"{text}\n\n{outcome}"
    # A lambda has a key in a script. A module's is pickled with all that it refers to, so that
    # one that refers to a lock works only in a script.
    differences = [
        f"script: {mine}\nmodule: {theirs}"
        for mine, theirs in zip(outcome.lines, control.lines, strict=True)
        if mine != theirs and not theirs.endswith("FAILED")
    ]
    assert not differences, f"{text}\n\n" + "\n".join(differences)
