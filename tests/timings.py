"""Other values for the library's time constants."""

from __future__ import annotations

import sys

import pytest

import enact_pool._core.timing

__all__ = ["set_timing"]


def set_timing(monkeypatch: pytest.MonkeyPatch, name: str, seconds: float) -> None:
    """Set a time constant in all modules of this process that have imported it."""
    monkeypatch.setattr(enact_pool._core.timing, name, seconds)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("enact_pool.") and name in vars(module):
            monkeypatch.setattr(module, name, seconds)
