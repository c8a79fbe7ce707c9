"""Output of tasks, relayed to the objects that replace the caller's stdout and stderr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from enact_pool._core.observer import RunInfo
from enact_pool._lanes.output_relay import Use, end_unused, use_relay
from enact_pool._mirror.caller.items import Manifest
from enact_pool._mirror.caller.manifests import caller_streams

__all__ = ["RelayedOutput"]


class _HasManifests(Protocol):
    """A task source with the manifests of the caller's process state."""

    manifests: tuple[Manifest, ...]


class RelayedOutput:
    """Uses the output relay for one run: see `output_relay`.

    Attributes:
        error: What the first failed `write` raised.
    """

    def __init__(self, replaced: tuple[Any, Any], source: _HasManifests) -> None:
        """Relay to `replaced`: the caller's stdout and stderr when the run began."""
        self._replaced: tuple[Any, Any] | None = replaced
        self._source = source
        self._use: Use | None = None
        self.error: BaseException | None = None

    def run_started(self, _: RunInfo) -> None:
        """Open the relay. Raises `OSError` or `RuntimeError`."""
        if self._replaced is not None:
            # No reference stays here: the relay knows when it is not needed any more.
            replaced, self._replaced = self._replaced, None
            self._use = use_relay(replaced)
            self._source.manifests = self._use.relay.manifests(self._source.manifests)

    def results_released(self, tasks: Sequence[int], results: list[Any]) -> None:
        """Write what these tasks printed, before their results are returned."""
        self._drain()

    def manifest_at_release(self) -> Manifest:
        """Return the caller's own descriptors: later prints must not write to a broken pipe."""
        return caller_streams()

    def run_ended(self) -> None:
        """End the relay, unless another run uses it."""
        try:
            self._drain()
        finally:
            # What an interrupt has kept from being written is written when the relay ends.
            use, self._use = self._use, None
            if use is not None:
                use.end()
            end_unused()

    def _drain(self) -> None:
        if self._use is not None:
            relay = self._use.relay
            relay.drain()
            self.error = self.error or relay.error
