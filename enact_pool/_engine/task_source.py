"""What a run asks of the source of its tasks."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, Literal

from attrs import frozen

from enact_pool._mirror.caller.items import Manifest
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickling import Buffers
from enact_pool._wire.setup import RunSetup

__all__ = ["PENDING", "Batch", "Pending", "TaskSource"]


class _Answer(Enum):
    PENDING = "pending"


# What an iterable can return in the place of an item that it would have to wait for: the run
# serves its lanes, and asks again at once.
Pending = Literal[_Answer.PENDING]
PENDING: Final = _Answer.PENDING


@frozen
class Batch:
    """The pickled items of the first `count` tasks, and what a worker needs for them."""

    count: int
    payload: bytes
    manifests: tuple[Manifest, ...] = ()


class TaskSource:
    """The tasks of a run, numbered from 0.

    Attributes:
        item_is, common_is: What an item is, and what they have in common, for messages.
        sends_exceptions: Whether outcomes contain exceptions, besides their texts.
        goes_on: Whether more tasks may come after some could not be run for want of workers.
        is_lazy: Whether tasks are taken as they are needed, with `pull`.
        has_own_streams: Whether it observes the run, and knows where each task prints.
        workload_key: What equals for runs of the same callables, which take about as long; None
            if that is not known.
        exhausted: Whether there will be no more tasks.
        pulled: How many tasks were taken so far.
        doorbell: A descriptor that can be read when there may be more tasks.
        error: What taking tasks has raised, to be raised when those before are done.
        manifests: What workers must have of the caller's process state.
    """

    item_is: str
    common_is: str
    sends_exceptions = False
    goes_on = False
    is_lazy = True
    has_own_streams = False
    workload_key: frozenset[int] | None = None
    exhausted: bool
    pulled = 0
    doorbell: int | None = None
    error: BaseException | None = None
    manifests: tuple[Manifest, ...]

    @property
    def has_more(self) -> bool:
        """Whether it is worth asking for more tasks."""
        raise NotImplementedError

    @property
    def total(self) -> int | None:
        """How many tasks there are; None if that is not known yet."""
        return self.pulled if self.exhausted else None

    def pull(self, count: int) -> int:
        """Take up to `count` more tasks, fewer if they come slowly; return how many."""
        raise NotImplementedError

    def listen(self, wants: bool) -> None:
        """Set whether to ring the doorbell when there are more tasks."""

    def clear_doorbell(self) -> None:
        """Clear the doorbell."""

    def stop(self) -> None:
        """Take no more tasks."""
        raise NotImplementedError

    def settle(self, tasks: Iterable[int]) -> list[str]:
        """Drop the items of these tasks; return the names of their callables."""
        raise NotImplementedError

    def name(self, task: int) -> str:
        """Return the name of the callable of a task that is not settled."""
        raise NotImplementedError

    def manifest(self, needs: Needs) -> Manifest:
        """Return what a worker must have of the caller's definitions for a pickle."""
        raise NotImplementedError

    def setup(self, buffers: Buffers) -> tuple[RunSetup, Manifest]:
        """Return what all tasks have in common, and what a worker needs for it.

        Args:
            buffers: What the pickle leaves out of band is added to it; None if it may not.

        Raises what pickling raises.
        """
        raise NotImplementedError

    def pickle(self, tasks: list[int]) -> Batch:
        """Return a batch of these tasks, or of the first of them. Raises what pickling raises."""
        raise NotImplementedError
