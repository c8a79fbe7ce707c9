"""What tasks of a run print, for objects in the place of the caller's stdout and stderr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from enact_pool._core.observer import RunInfo
from enact_pool._lanes.output_relay import Use, end_unused, use_relay
from enact_pool._mirror.caller.items import Manifest
from enact_pool._mirror.caller.manifests import caller_streams

__all__ = ["RelayedOutput"]


class _HasManifests(Protocol):
    """The source of a run: what workers must have of the caller's process state."""

    manifests: tuple[Manifest, ...]


class RelayedOutput:
    """Keeps the relay of one run: see `output_relay`.

    Attributes:
        error: What the first `write` that failed has raised.
    """

    def __init__(self, replaced: tuple[Any, Any], source: _HasManifests) -> None:
        """`replaced` are the objects, as they were when the run began."""
        self._replaced: tuple[Any, Any] | None = replaced
        self._source = source
        self._use: Use | None = None
        self.error: BaseException | None = None

    def run_started(self, _: RunInfo) -> None:
        """Open the relay. Raises `OSError` or `RuntimeError`."""
        if self._replaced is not None:
            # Not kept here: after the run it is the relay that knows when it is not needed.
            replaced, self._replaced = self._replaced, None
            self._use = use_relay(replaced)
            self._source.manifests = self._use.relay.manifests(self._source.manifests)

    def results_released(self, tasks: Sequence[int], results: list[Any]) -> None:
        """Write what these tasks have printed, before their results are seen."""
        self._drain()

    def manifest_at_release(self) -> Manifest:
        """Return the caller's own descriptors: what prints later must not find a broken pipe."""
        return caller_streams()

    def run_ended(self) -> None:
        """End the relay, if nothing else uses it."""
        self._drain()
        use, self._use = self._use, None
        if use is not None:
            use.end()
        end_unused()

    def _drain(self) -> None:
        if self._use is not None:
            relay = self._use.relay
            relay.drain()
            self.error = self.error or relay.error
