"""Options of a run."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from attrs import Attribute, field, frozen

from enact_pool._model.limits import Limits, check_flag
from enact_pool._model.protocols import ProgressBar
from enact_pool._python.public_names import public

__all__ = ["NO_OPTIONS", "Options", "Progress", "RunOptions"]

# Whether to show the progress of a run ("force": even outside a terminal), or a bar that shows it.
Progress = bool | Literal["force"] | ProgressBar


def _check_progress(_: object, _attribute: Attribute[Any], value: Any) -> None:
    if value is not False:
        from enact_pool._observe.progress import check_progress  # rarely needed

        check_progress(value)


@public
class RunOptions(TypedDict, total=False):
    """The options of a run: keyword arguments of `run_parallel` and the other functions.

    docs/options.md explains each option at length.

    Attributes:
        timeout: Seconds that a callable may run, from its start in the worker; default: that of the
            pool, which is no limit by default. Unpickling may take 30 seconds more.
        max_memory: Bytes that a callable's worker may own, including the processes that callables
            started; default: that of the pool, which is no limit by default.
        max_tasks_per_worker: Callables after which a worker is replaced; default: that of the pool,
            which is never by default.
        fail_fast: Whether the first outcome that is not `Ok` ends the run; default: False.
        progress: True shows a tqdm bar on stderr in terminals and notebooks, "force" everywhere; a
            `ProgressBar` is updated and stays yours to close; default: False.
        capture_output: Whether results have what their callables print, as `stdout` and `stderr`;
            default: False.
        forward_logs: Whether log records and warnings of callables are logged and shown in this
            process, in the thread of the run; default: False.
    """

    timeout: float | None
    max_memory: int | None
    max_tasks_per_worker: int | None
    fail_fast: bool
    progress: Progress
    capture_output: bool
    forward_logs: bool


@frozen
class Options:
    """The options of a run, checked.

    Raises:
        TypeError: A flag is neither True nor False, or `progress` cannot show progress.
        ImportError: `progress` needs tqdm, which is not installed.
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
        """Return the options of a call; most calls set none. Raises what `Limits` raises, too."""
        if (
            timeout is max_memory is max_tasks_per_worker is None
            and fail_fast is progress is capture_output is forward_logs is False
        ):
            return NO_OPTIONS
        limits = Limits(timeout, max_memory, max_tasks_per_worker, fail_fast)
        return cls(limits, progress, capture_output, forward_logs)


# For calls without options.
NO_OPTIONS = Options(Limits())
