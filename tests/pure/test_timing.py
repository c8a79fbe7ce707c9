"""Time constants that do not fit together are refused."""

from __future__ import annotations

import pytest

from enact_pool._core import timing


def test_a_coupling_that_does_not_hold_is_named() -> None:
    timing._check(True, "a nap has a range")
    with pytest.raises(
        ValueError, match=r"^time constants do not fit together: a nap has a range$"
    ):
        timing._check(False, "a nap has a range")
