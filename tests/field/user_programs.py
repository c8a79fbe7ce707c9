"""The programs in `programs/`, and the ways in which users run a program.

A program is a script without a `__main__` guard that prints lines. Comments in it say what
holds for it:

    # expect: LINE     a line of its output; all such lines together are its whole output
    # ways: -c stdin   it is also run in these ways, not only as a file
    # needs: MODULE    it is skipped where this module is missing
    # python: 3.12     it needs at least this Python
    # stderr: REASON   it may write to stderr; the others must not
    # --- run ---      what is above this line are definitions

A program with the last of these has a control: its definitions are written to a module, and
the rest runs as a script that takes all names from there. Both must print the same.
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

# A program takes half a second. One that takes this long hangs. Two of them, one after the
# other, must end before the time limit of a test (60 s, see pyproject.toml).
SECONDS = 25

# The module's name must not be that of the script: the script's folder is searched first.
_CONTROL = """\
import definitions_{name}
globals().update({{k: v for k, v in vars(definitions_{name}).items() if not k.startswith("__")}})
"""


@frozen
class Outcome:
    """What a program printed, and how it ended."""

    lines: list[str]
    stderr: str
    code: int


def _noted(text: str, word: str) -> list[str]:
    """Return the values of all comments `# word: value`."""
    return [
        match[1] for match in re.finditer(rf"^# {word}:(?: (.*)|)$", text.replace("\r", ""), re.M)
    ]


@frozen
class Program:
    """A program, and what its comments say of it."""

    kind: str
    name: str
    text: str = field(repr=False)

    @property
    def expected(self) -> list[str]:
        """The lines that it must print; empty if only its control says so."""
        return [line or "" for line in _noted(self.text, "expect")]

    @property
    def ways(self) -> list[str]:
        """In which ways it is run."""
        return ["file", *" ".join(_noted(self.text, "ways")).split()]

    @property
    def needs(self) -> list[str]:
        """Modules without which it cannot run."""
        return _noted(self.text, "needs")

    @property
    def oldest_python(self) -> tuple[int, ...]:
        """The first Python that can run it."""
        return tuple(
            int(part) for noted in _noted(self.text, "python") for part in noted.split(".")
        )

    @property
    def may_write_to_stderr(self) -> bool:
        """Whether text on stderr is no fault."""
        return bool(_noted(self.text, "stderr"))

    @property
    def has_control(self) -> bool:
        """Whether its definitions can also be put into a module."""
        return RUN in self.text

    def write_control(self, folder: Path) -> str:
        """Write the definitions as a module into `folder`; return the script that uses them."""
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

    Its output goes to files: a process that it leaves running would keep a pipe open.
    """
    paths = [str(Path(enact_pool.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # A kernel, and a pytest, that find it behave in another way than users see.
    environment.pop("PYTEST_CURRENT_TEST", None)
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("a+") as printed,
        tempfile.TemporaryFile("a+") as errors,
    ):
        given.write(stdin)
        given.seek(0)
        # A group of its own, so that all of it can be killed.
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
