"""Whether a worker that imports a name gets the module that the caller has."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from enact_pool._mirror.caller.importable import is_importable


@pytest.mark.parametrize("kept", [0, 4, 15])
def test_a_compiled_file_that_is_cut_off_counts_as_none(
    kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"cut_off_{kept}"
    (tmp_path / f"{name}.py").write_text("number = 1\n")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module(name)
    try:
        compiled = Path(importlib.util.cache_from_source(str(tmp_path / f"{name}.py")))
        compiled.write_bytes(compiled.read_bytes()[:kept])
        assert is_importable(name)
    finally:
        del sys.modules[name]
