"""Time constants that do not fit together are refused."""

from __future__ import annotations

import pytest

from enact_pool._core import timing


def test_a_coupling_that_does_not_hold_is_named() -> None:
    timing._check(True, "quick callables are collected")
    with pytest.raises(
        ValueError, match=r"^time constants do not fit together: quick callables are collected$"
    ):
        timing._check(False, "quick callables are collected")
