"""Options: what can be asked of a run beside its work."""

from __future__ import annotations

from typing import TypedDict

from attrs import field, frozen

from enact_pool.limits import Limits, check_flag

__all__ = ["Options", "RunOptions"]


class RunOptions(TypedDict, total=False):
    """What can be asked of a run beside its work: see `run_parallel`."""

    timeout: float | None
    max_memory: int | None
    max_tasks_per_worker: int | None
    fail_fast: bool
    progress: object
    capture_output: bool
    forward_logs: bool


@frozen
class Options:
    """The same, checked. Raises `TypeError` for what is neither True nor False."""

    limits: Limits
    progress: object = False
    capture_output: bool = field(default=False, validator=check_flag)
    forward_logs: bool = field(default=False, validator=check_flag)

    def over(self, usual: Limits) -> Options:
        """These, with the usual limits where these have none."""
        limits = self.limits.over(usual)
        return Options(limits, self.progress, self.capture_output, self.forward_logs)
