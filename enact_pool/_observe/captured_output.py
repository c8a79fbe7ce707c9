"""What callables have printed, until they have results to put it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enact_pool._model.results import ParallelResult

__all__ = ["CapturedOutput"]


class CapturedOutput:
    """Puts what callables print on their results."""

    def __init__(self) -> None:
        self._received: dict[int, tuple[bytes, bytes]] = {}

    def output_received(self, task: int, output: tuple[bytes, bytes]) -> None:
        """Keep it; the first that is received of a task counts."""
        self._received.setdefault(task, output)

    def tasks_settled(
        self,
        tasks: Sequence[int],
        names: Sequence[str],
        results: Sequence[ParallelResult[Any]],
        texts: Mapping[int, str],
    ) -> None:
        """Put it on the results."""
        if self._received:
            for task, result in zip(tasks, results, strict=True):
                result._printed = self._received.pop(task, None)
