"""What each callable finds in its worker as its caller has it when a run or a call begins."""

from __future__ import annotations

from enact_pool.mirror.snapshot import Manifest

__all__ = ["caller_manifests"]


def caller_manifests() -> tuple[Manifest, ...]:
    """Return what a worker must have of the process's state, and of the context variables."""
    return ()
