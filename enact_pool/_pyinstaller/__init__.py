"""Hooks for PyInstaller, which finds modules by `import` statements: it misses those of `cyksuid`
that are compiled, and those of this package that are imported when a name is first used.
"""

from __future__ import annotations

import os

__all__ = ["hook_folders"]


def hook_folders() -> list[str]:
    """Return the folders with hooks: the entry point `pyinstaller40` is this function."""
    return [os.path.dirname(__file__)]
