"""Execute cells in a kernel of this Python, and print the output of each.

The program reads the cells from stdin, as a JSON list of strings. It prints JSON, too: for each
cell its text on stdout, its result, and its error; "" for those that it lacks.
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
    """Execute the cells in a new kernel, each for at most `seconds`; return the output of each."""
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
        pass  # the output of the cell contains the error
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
