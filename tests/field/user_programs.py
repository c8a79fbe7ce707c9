"""The programs in `programs/`, and the ways in which users run a program.

A program is a script without a `__main__` guard that prints lines. Its comments describe it:

    # expect: LINE     a line of its output; all these lines are its whole output
    # ways: -c stdin   it is also run in these ways, not only as a file
    # needs: MODULE    it is skipped if this module is missing
    # python: 3.12     it needs at least this Python
    # stderr: REASON   it may write to stderr; other programs must not
    # --- run ---      the lines above this one are definitions

A program with the last comment has a control: its definitions are written to a module, and the
rest runs as a script that imports all names from there. Both must print the same.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from attrs import field, frozen

import enact_pool

__all__ = ["SECONDS", "Outcome", "Program", "find_programs", "run_program", "run_python"]

PROGRAMS = Path(__file__).parent / "programs"
RUN = "# --- run ---\n"

# A program takes half a second. After this time, it is considered to hang. Two programs, one after
# the other, must end within the time limit of a test (60 s, see pyproject.toml).
SECONDS = 25

# The module's name must not be that of the script: the script's folder is searched first.
_CONTROL = """\
import definitions_{name}
globals().update({{k: v for k, v in vars(definitions_{name}).items() if not k.startswith("__")}})
"""


@frozen
class Outcome:
    """The output and the exit code of a program."""

    lines: list[str]
    stderr: str
    code: int


def _comments(text: str, word: str) -> list[str]:
    """Return the values of all comments `# word: value`."""
    return [
        match[1] for match in re.finditer(rf"^# {word}:(?: (.*)|)$", text.replace("\r", ""), re.M)
    ]


@frozen
class Program:
    """A program, and the properties that its comments describe."""

    kind: str
    name: str
    text: str = field(repr=False)

    @property
    def expected(self) -> list[str]:
        """The lines that it must print; empty if only its control determines them."""
        return [line or "" for line in _comments(self.text, "expect")]

    @property
    def ways(self) -> list[str]:
        """The ways in which it is run."""
        return ["file", *" ".join(_comments(self.text, "ways")).split()]

    @property
    def needs(self) -> list[str]:
        """The modules without which it cannot run."""
        return _comments(self.text, "needs")

    @property
    def oldest_python(self) -> tuple[int, ...]:
        """The oldest version of Python that can run it."""
        return tuple(
            int(part) for noted in _comments(self.text, "python") for part in noted.split(".")
        )

    @property
    def may_write_to_stderr(self) -> bool:
        """Whether it may write to stderr."""
        return bool(_comments(self.text, "stderr"))

    @property
    def has_control(self) -> bool:
        """Whether its definitions can also be in a module."""
        return RUN in self.text

    def write_control(self, folder: Path) -> str:
        """Write the definitions to a module in `folder`; return the script that uses them."""
        definitions, run = self.text.split(RUN)
        (folder / f"definitions_{self.name}.py").write_text(definitions)
        return _CONTROL.format(name=self.name) + run


def find_programs() -> list[Program]:
    """Return all programs, by kind and name."""
    return [
        Program(path.parent.name, path.stem, path.read_text())
        for path in sorted(PROGRAMS.glob("*/*.py"))
    ]


def run_program(text: str, folder: Path, way: str = "file", name: str = "script") -> Outcome:
    """Run a program in `folder`: as a "file", by "-c" or from "stdin"."""
    if way == "file":
        (folder / f"{name}.py").write_text(text)
        return run_python([f"{name}.py"], folder)
    if way == "-c":
        return run_python(["-c", text], folder)
    assert way == "stdin"
    return run_python(["-"], folder, text)


def run_python(arguments: list[str], folder: Path, stdin: str = "") -> Outcome:
    """Run this Python with `arguments` in `folder`, for at most `SECONDS`.

    Its output is written to files: a process that it leaves running would keep a pipe open.
    """
    paths = [str(Path(enact_pool.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # A kernel or a pytest that finds this variable behaves differently than for users.
    environment.pop("PYTEST_CURRENT_TEST", None)
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("a+") as printed,
        tempfile.TemporaryFile("a+") as errors,
    ):
        given.write(stdin)
        given.seek(0)
        # A process group of its own, so that all its processes can be killed.
        with subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            stdin=given,
            stdout=printed,
            stderr=errors,
            start_new_session=True,
        ) as process:
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                errors.write(f"\nkilled after {SECONDS} s")
        printed.seek(0)
        errors.seek(0)
        return Outcome(printed.read().splitlines(), errors.read(), process.returncode)
