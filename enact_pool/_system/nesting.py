"""How deep in pools this process is, and which share of the CPUs it has."""

from __future__ import annotations

__all__ = ["nesting"]


class _Nesting:
    """The place of this process: 0 and None in one that is not a worker."""

    def __init__(self) -> None:
        self.depth = 0
        # How many CPUs its own pools may use; None for all.
        self.cpus: int | None = None


# Set once, when a worker starts.
nesting = _Nesting()
