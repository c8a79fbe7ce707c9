"""The answer journal: answers that a worker has ready and has not written to its pipe.

Writing an answer takes longer than running a quick callable, but an answer in
the worker's own memory is lost with the worker. So a worker stores answers here,
in memory that its parent shares, and writes several of them to the pipe at once.
The parent reads the journal when the worker has died, or when the worker has run
one callable for so long that the answers of earlier ones are overdue.

Only the worker writes, and each entry is complete before it is counted. While the
worker runs, the parent must find the same entries in two looks: see `read`.
"""

from __future__ import annotations

from enact_pool._wire.frames import ENTRY_BYTES, LARGE_BYTES, pack_ran

__all__ = ["JOURNAL_BYTES", "Journal"]

_ENTRIES = 128
# The worker writes the entries when their payloads have this size. There is room for one
# more, as large as any value that is not a large value: each answer is stored here
# first, regardless of the pipe.
_FULL_BYTES = 16 * 1024
_PAYLOAD_BYTES = _FULL_BYTES + LARGE_BYTES
_WORDS_BYTES = 16
JOURNAL_BYTES = _WORDS_BYTES + _ENTRIES * ENTRY_BYTES + _PAYLOAD_BYTES

_FIRST, _COUNT = range(2)


class Journal:
    """One side's view of a journal of `JOURNAL_BYTES` of shared memory, all zero at first."""

    def __init__(self, memory: memoryview) -> None:
        ran_at = _WORDS_BYTES
        sizes_at = ran_at + 8 * _ENTRIES
        begun_at = sizes_at + 8 * _ENTRIES
        endings_at = begun_at + 8 * _ENTRIES
        payloads_at = endings_at + _ENTRIES
        # The serial number of the first entry, and how many there are.
        self._words = memory[:ran_at].cast("Q")
        self._ran_ns = memory[ran_at:sizes_at].cast("Q")
        self._sizes = memory[sizes_at:begun_at].cast("Q")
        self._begun_ns = memory[begun_at:endings_at].cast("Q")
        self._endings = memory[endings_at:payloads_at]
        self._payloads = memory[payloads_at:JOURNAL_BYTES]
        # The position of the next entry, which only the worker knows.
        self._next_serial = self._count = self._end = 0

    def add(self, serial: int, ending: int, begun_ns: int, ran_ns: int, payload: bytes) -> bool:
        """Store an answer, and return True; False if it is not the next one, or has no room."""
        count, at = self._count, self._end
        end = at + len(payload)
        if end > _PAYLOAD_BYTES:
            return False
        if count == 0:
            self._words[_FIRST] = serial
        elif serial != self._next_serial or count == _ENTRIES:
            return False
        self._ran_ns[count] = ran_ns
        self._sizes[count] = end - at
        self._begun_ns[count] = begun_ns
        self._endings[count] = ending
        self._payloads[at:end] = payload
        self._next_serial, self._end = serial + 1, end
        self._count = self._words[_COUNT] = count + 1
        return True

    @property
    def is_full(self) -> bool:
        """Whether the entries must be written before more are added."""
        return self._count == _ENTRIES or self._end >= _FULL_BYTES

    def frame(self) -> bytes:
        """Return all entries as a frame; empty if there are none."""
        count = self._count
        if not count:
            return b""
        return pack_ran(self._next_serial - count, count, self._parts(count, self._end))

    def _parts(self, count: int, size: int) -> tuple[memoryview, ...]:
        return (
            self._ran_ns[:count],
            self._sizes[:count],
            self._begun_ns[:count],
            self._endings[:count],
            self._payloads[:size],
        )

    def clear(self) -> None:
        """Remove all entries, which were written."""
        self._words[_COUNT] = self._count = self._end = 0

    @property
    def extent(self) -> range:
        """The serial numbers of the entries, for the parent."""
        first, count = self._words
        return range(first, first + min(count, _ENTRIES))

    def read(self, stop: int | None = None) -> tuple[range, bytes] | None:
        """Return the entries' serial numbers, and the payload of a frame with them; for the parent.

        Return None if there are none, or if the worker has changed them meanwhile.

        Args:
            stop: Return only entries below this serial number. While the worker runs, two looks
                must have found these entries: on a CPU that reorders stores, the count may be
                visible before the entry that it counts.
        """
        serials = self.extent
        if stop is not None:
            serials = range(serials.start, min(serials.stop, max(stop, serials.start)))
        count = len(serials)
        payload = b"".join(self._parts(count, sum(self._sizes[:count])))
        now = self.extent
        # The worker adds entries behind these, and clears all entries before it changes one.
        if not count or now.start != serials.start or now.stop < serials.stop:
            return None
        return serials, payload

    def close(self) -> None:
        """Release the memory."""
        for view in (
            self._words,
            self._ran_ns,
            self._sizes,
            self._begun_ns,
            self._endings,
            self._payloads,
        ):
            view.release()
