"""The setup of a run: what each of its workers is sent once, before its first batch.

Only `encode` and `decode` know its layout:

    2 bytes    flags
    8 bytes    the memory limit                    if the run has one
    8 bytes    the size of the next part           if the run has extras
    a pickle   log levels, and call wrappers       if the run has extras
    the rest   the payload
"""

from __future__ import annotations

import pickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CALLS", "FUNCTION", "INPUT", "NO_SETUP", "RunSetup"]

# What the payload is, and what the items of batches are.
INPUT = 0  # an input; the items are callables
FUNCTION = 1  # a function; the items are inputs
CALLS = 2  # nothing; the items are calls, each with its function
_MODES = 3

# The flags above the mode. (Plain ints: an IntFlag takes a microsecond for each operation.)
_SHARED = 1 << 2
_LARGE = 1 << 3
_SHOWS_OUTPUTS = 1 << 4
_SENDS_EXCEPTIONS = 1 << 5
_CAPTURES_OUTPUT = 1 << 6
_HAS_MAX_MEMORY = 1 << 7
_HAS_EXTRAS = 1 << 8

_MOST_MEMORY = (1 << 64) - 1


class RunSetup:
    """What all tasks of a run share.

    A plain class: `attrs` takes too long to import in a worker.

    Attributes:
        mode: `INPUT`, `FUNCTION` or `CALLS`.
        payload: A pickle of the input or function, or the layout of a large value.
        is_large: Whether the payload is a layout: see `large_value`.
        is_shared: Whether all callables can use one copy of the input.
        shows_outputs: Whether the run asks for texts of returned values.
        sends_exceptions: Whether the run asks for exceptions, besides their descriptions.
        captures_output: Whether the run asks for what callables print.
        max_memory: How much memory of its own a worker may have, in bytes; None for no limit.
        log_levels: The lowest levels of log records that the run asks for, by names of loggers;
            None for no log records.
        wrappers: Pickled call wrappers.
    """

    __slots__ = (
        "captures_output",
        "is_large",
        "is_shared",
        "log_levels",
        "max_memory",
        "mode",
        "payload",
        "sends_exceptions",
        "shows_outputs",
        "wrappers",
    )

    def __init__(
        self,
        mode: int = INPUT,
        payload: bytes = b"",
        *,
        is_large: bool = False,
        is_shared: bool = False,
        shows_outputs: bool = False,
        sends_exceptions: bool = False,
        captures_output: bool = False,
        max_memory: int | None = None,
        log_levels: Mapping[str, int] | None = None,
        wrappers: Sequence[bytes] = (),
    ) -> None:
        self.mode = mode
        self.payload = payload
        self.is_large = is_large
        self.is_shared = is_shared
        self.shows_outputs = shows_outputs
        self.sends_exceptions = sends_exceptions
        self.captures_output = captures_output
        self.max_memory = max_memory
        self.log_levels = log_levels
        self.wrappers = wrappers

    def encode(self) -> bytes:
        """Return the payload of a SETUP frame."""
        flags = (
            self.mode
            | _SHARED * self.is_shared
            | _LARGE * self.is_large
            | _SHOWS_OUTPUTS * self.shows_outputs
            | _SENDS_EXCEPTIONS * self.sends_exceptions
            | _CAPTURES_OUTPUT * self.captures_output
        )
        parts = [b"", self.payload]
        if self.log_levels is not None or self.wrappers:
            flags |= _HAS_EXTRAS
            extras = pickle.dumps((self.log_levels, list(self.wrappers)))
            parts[1:1] = len(extras).to_bytes(8, "little"), extras
        if self.max_memory is not None:
            flags |= _HAS_MAX_MEMORY
            parts.insert(1, min(self.max_memory, _MOST_MEMORY).to_bytes(8, "little"))
        parts[0] = flags.to_bytes(2, "little")
        return b"".join(parts)

    @classmethod
    def decode(cls, encoded: bytes) -> RunSetup:
        """Return the setup that was encoded. Raises any exception if it was damaged."""
        flags, at = int.from_bytes(encoded[:2], "little"), 2
        max_memory = log_levels = None
        wrappers: list[bytes] = []
        if flags & _HAS_MAX_MEMORY:
            max_memory, at = int.from_bytes(encoded[at : at + 8], "little"), at + 8
        if flags & _HAS_EXTRAS:
            size, at = int.from_bytes(encoded[at : at + 8], "little"), at + 8
            log_levels, wrappers = pickle.loads(encoded[at : at + size])
            at += size
        return cls(
            flags & _MODES,
            encoded[at:],
            is_large=bool(flags & _LARGE),
            is_shared=bool(flags & _SHARED),
            shows_outputs=bool(flags & _SHOWS_OUTPUTS),
            sends_exceptions=bool(flags & _SENDS_EXCEPTIONS),
            captures_output=bool(flags & _CAPTURES_OUTPUT),
            max_memory=max_memory,
            log_levels=log_levels,
            wrappers=wrappers,
        )


# What replaces the setup of a run that is over, so that its memory is free.
NO_SETUP = RunSetup(is_shared=True, payload=pickle.dumps(None)).encode()
