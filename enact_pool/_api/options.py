"""Options: what can be asked of a run beside its work."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from attrs import Attribute, field, frozen

from enact_pool._model.limits import Limits, check_flag
from enact_pool._model.protocols import ProgressBar

__all__ = ["NO_OPTIONS", "Options", "Progress", "RunOptions"]

# Whether to show how far a run is, where somebody can see it, or wherever; or what shows it.
Progress = bool | Literal["force"] | ProgressBar


def _check_progress(_: object, _attribute: Attribute[Any], value: Any) -> None:
    if value is not False:
        from enact_pool._observe.progress import check_progress  # rarely needed

        check_progress(value)


class RunOptions(TypedDict, total=False):
    """What can be asked of a run beside its work: see `run_parallel`."""

    timeout: float | None
    max_memory: int | None
    max_tasks_per_worker: int | None
    fail_fast: bool
    progress: Progress
    capture_output: bool
    forward_logs: bool


@frozen
class Options:
    """The same, checked.

    Raises `TypeError` for what is neither True nor False, or no progress; and
    `ImportError` if what shows it is not installed.
    """

    limits: Limits
    progress: Progress = field(default=False, validator=_check_progress)
    capture_output: bool = field(default=False, validator=check_flag)
    forward_logs: bool = field(default=False, validator=check_flag)

    @classmethod
    def of(
        cls,
        timeout: float | None,
        max_memory: int | None,
        max_tasks_per_worker: int | None,
        fail_fast: bool,
        progress: Progress,
        capture_output: bool,
        forward_logs: bool,
    ) -> Options:
        """Those of a call, which most often asks for nothing. Raises what `Limits` raises, too."""
        if (
            timeout is max_memory is max_tasks_per_worker is None
            and fail_fast is progress is capture_output is forward_logs is False
        ):
            return NO_OPTIONS
        limits = Limits(timeout, max_memory, max_tasks_per_worker, fail_fast)
        return cls(limits, progress, capture_output, forward_logs)


# Of calls that ask for nothing.
NO_OPTIONS = Options(Limits())
