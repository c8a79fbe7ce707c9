"""How many examples Hypothesis tries."""

from __future__ import annotations

import os

__all__ = ["examples"]

# Mutation testing runs the tests once per mutant, and tries fewer.
_DIVISOR = int(os.environ.get("ENACT_POOL_TEST_EXAMPLES_DIVISOR", "1"))


def examples(number: int) -> int:
    """Return the number of examples to try where `number` is the full one."""
    return max(1, number // _DIVISOR)
