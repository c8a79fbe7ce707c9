"""The snippets of documents and the examples, run as by a user."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# The snippets of the other document, each with its output, if the document shows it.
SEEN = re.findall(
    r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?",
    (ROOT / "docs" / "what-a-callable-sees.md").read_text(),
    re.MULTILINE | re.DOTALL,
)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(path: Path, folder: Path, *arguments: str) -> str:
    """Run a script in an empty folder; return its output."""
    command = [sys.executable, str(path), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippets_of_the_readme_run(number: int, tmp_path: Path) -> None:
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPETS[number])
    assert run(path, tmp_path)


def test_the_first_snippet_prints_what_the_readme_says(tmp_path: Path) -> None:
    path = tmp_path / "first.py"
    path.write_text(SNIPPETS[0])
    expected = re.search(r"^```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert expected is not None
    # The time until the crash varies.
    times = re.compile(r", [\d.]+ m?s after it began$", re.MULTILINE)
    assert times.sub("", run(path, tmp_path)) == times.sub("", expected[1])


@pytest.mark.parametrize("number", range(len(SEEN)))
def test_snippets_of_what_a_callable_sees_print_what_the_document_says(
    number: int, tmp_path: Path
) -> None:
    snippet, expected = SEEN[number]
    if "import numpy" in snippet:
        pytest.importorskip("numpy")
    path = tmp_path / "snippet.py"
    path.write_text(snippet)
    printed = run(path, tmp_path)
    assert printed
    assert printed == (expected or printed)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(path: Path, tmp_path: Path) -> None:
    if path.stem == "analyse_sources":
        # A tenth of the text: `make demo` uses all of it.
        printed = run(path, tmp_path, "250000")
        assert "SIGSEGV" in printed
        assert "which find the same" in printed
    else:
        printed = run(path, tmp_path)
    assert printed
