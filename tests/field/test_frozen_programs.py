"""A program that PyInstaller has frozen: its executable is no interpreter, but runs the program."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """\
import multiprocessing
import sys

if not sys.executable.endswith("unsupported"):
    multiprocessing.freeze_support()

from enact_pool import PoolExecutor, run_parallel


def double(x):
    return 2 * x


print("the program runs", flush=True)
print([result.output for result in run_parallel([double, lambda x: x + 1], 20)])
with PoolExecutor(1) as executor:
    print(list(executor.map(double, range(4))))
"""

# What this library uses if it is there, and what takes minutes to freeze.
OPTIONAL = ("numpy", "torch", "sqlalchemy", "IPython", "pytest", "tqdm", "plotly")


@pytest.mark.timeout(400)
def test_a_frozen_program_has_workers_and_starts_no_second_generation(tmp_path: Path) -> None:
    pytest.importorskip("PyInstaller")
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "PyInstaller", "--log-level", "ERROR", "program.py"]
    for name in OPTIONAL:
        command += ["--exclude-module", name]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    executable = tmp_path / "dist" / "program" / "program"
    done = subprocess.run([executable], capture_output=True, text=True, timeout=50)
    printed = ["the program runs", "[Ok(40), Ok(21)]", "[0, 2, 4, 6]"]
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, printed, "")

    unsupported = executable.with_name("unsupported")
    shutil.copy(executable, unsupported)
    done = subprocess.run([unsupported], capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    advice = "a frozen program has to call multiprocessing.freeze_support() before all else"
    assert f"no worker could be started: worker exited with code 1: {advice}" in done.stdout
    # Each process that it has started has run the program once, and started none.
    ran = done.stdout.count("the program runs")
    assert ran - 1 == done.stderr.count("RuntimeError: this process was started to serve") > 0
