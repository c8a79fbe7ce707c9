"""Execute cells in a kernel of this Python, and print what each of them has shown.

The cells come as JSON, a list of texts, on stdin. What is printed is JSON, too: for each cell
what it wrote to stdout, its result, and its error, if there is one.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

__all__ = ["execute"]


def execute(cells: list[str], seconds: float) -> list[dict[str, str]]:
    """Execute the cells in a new kernel; return what each has shown."""
    v4: Any = nbformat.v4  # its functions have no types
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook,
        timeout=seconds,
        kernel_name="python3",
        resources={"metadata": {"path": Path.cwd()}},
    )
    try:
        client.execute()
    except CellExecutionError:
        pass  # it is among what the cell has shown
    return [_shown(cell["outputs"]) for cell in notebook["cells"]]


def _shown(outputs: list[dict[str, Any]]) -> dict[str, str]:
    shown = {"stdout": "", "result": "", "error": ""}
    for output in outputs:
        if output["output_type"] == "stream":
            shown["stdout" if output["name"] == "stdout" else "error"] += output["text"]
        elif output["output_type"] == "error":
            shown["error"] += re.sub(r"\x1b\[[\d;]*m", "", "\n".join(output["traceback"]))
        elif output["output_type"] == "execute_result":
            shown["result"] += output["data"]["text/plain"]
    return shown


if __name__ == "__main__":
    print(json.dumps(execute(json.load(sys.stdin), seconds=20)))
