"""Frames, permits, the answer journal, and texts of values and exceptions."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from enact_pool._ipc.answer_journal import JOURNAL_BYTES, Journal
from enact_pool._python.reprs import display_text, has_plain_repr
from enact_pool._python.tracebacks import describe
from enact_pool._wire.frames import (
    ANSWER,
    COUNT,
    KIND,
    SERIAL,
    Answer,
    Ending,
    FrameError,
    FrameReader,
    pack_answer,
    pack_ran,
    ran_parts,
    unpack_begun,
    unpack_ran,
)
from enact_pool._wire.permits import pack_permits, unpack_permit, unpack_permits

MAGIC = pack_answer(Answer.READY)[:4]
FRAME = st.tuples(
    st.sampled_from([Answer.READY, Answer.RAN, Answer.UNLOADABLE, Answer.SKIPPED]),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=60),
)
FRAMES = st.lists(FRAME)


def unpacked(read: list[tuple[tuple[int, ...], bytes]]) -> list[tuple[int, int, bytes]]:
    """Return what was packed into these frames."""
    return [(header[KIND], header[SERIAL], payload) for header, payload in read]


@given(frames=FRAMES, cuts=st.lists(st.integers(1, 40)))
def test_frames_survive_any_cutting_of_the_stream(frames: list[Any], cuts: list[int]) -> None:
    stream = b"".join(pack_answer(*frame) for frame in frames)
    reader = FrameReader(ANSWER)
    read = []
    for cut in cuts:
        chunk, stream = stream[:cut], stream[cut:]
        if chunk:
            read.extend(reader.feed(chunk))
    if stream:
        read.extend(reader.feed(stream))
    assert unpacked(read) == frames


GARBAGE = st.binary(max_size=60).filter(lambda data: not set(data) & set(MAGIC))


@given(frames=st.lists(st.tuples(GARBAGE, FRAME)), cuts=st.lists(st.integers(1, 40)))
def test_bytes_that_are_not_a_frame_are_skipped(frames: list[Any], cuts: list[int]) -> None:
    stream = b"".join(garbage + pack_answer(*frame) for garbage, frame in frames)
    reader, read = FrameReader(ANSWER), []
    for cut in cuts:
        chunk, stream = stream[:cut], stream[cut:]
        read.extend(reader.feed(chunk) if chunk else [])
    read.extend(reader.feed(stream) if stream else [])
    assert unpacked(read) == [frame for _, frame in frames]


@given(st.integers(0, 2**48 - 21), st.integers(1, 20), st.integers(1, 7))
def test_a_part_of_a_permit_is_an_error(first: int, count: int, taken: int) -> None:
    permits = pack_permits(range(first, first + count))
    assert unpack_permits(permits) == tuple(range(first, first + count))
    assert unpack_permit(permits[:8]) == first
    # Exclude numbers that look like the mark of a permit.
    assume(permits.count(permits[:2]) == count)
    for part in (permits[:taken], permits[taken : 8 + taken], permits[: 8 + taken]):
        if part != permits[:8]:
            with pytest.raises(FrameError):
                unpack_permit(part)
    with pytest.raises(FrameError):
        unpack_permits(permits[taken:])
    with pytest.raises(FrameError):
        unpack_permits(permits[taken:] + bytes(taken))


# Answers

ENTRY = st.tuples(
    st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(1, 5), st.binary(max_size=40)
)


def test_the_answer_for_a_single_task_is_unpacked() -> None:
    ((_, kind, serial, count, _), payload), *rest = FrameReader(ANSWER).feed(
        pack_ran(7, 1, ran_parts(90, 500, 3, b"text"))
    )
    assert (kind, serial, count, rest) == (Answer.RAN, 7, 1, [])
    assert unpack_ran(count, payload) == ([500], bytearray([3]), [b"text"])
    assert unpack_begun(count, payload) == [90]


@given(st.lists(ENTRY, min_size=1, max_size=30), st.data())
def test_a_journal_returns_the_answers_that_were_added(entries: list[Any], data: Any) -> None:
    journal = Journal(memoryview(bytearray(JOURNAL_BYTES)))
    # Earlier entries leave no trace.
    for serial in range(data.draw(st.integers(0, 5))):
        journal.add(serial, 1, 1, 1, b"older")
    journal.clear()
    assert journal.frame() == b""
    assert journal.read() is None
    for serial, (begun_ns, ran_ns, ending, payload) in enumerate(entries, 100):
        assert journal.add(serial, ending, begun_ns, ran_ns, payload)
    assert not journal.add(100 + len(entries) + 1, 1, 1, 1, b"not the next")
    (header, framed), *_ = FrameReader(ANSWER).feed(journal.frame())
    assert (header[KIND], header[SERIAL], header[COUNT]) == (Answer.RAN, 100, len(entries))
    found = journal.read()
    assert found is not None
    assert found == (range(100, 100 + len(entries)), framed)
    parts = unpack_begun(len(entries), framed), *unpack_ran(len(entries), framed)
    assert list(zip(*parts, strict=True)) == entries


def test_a_journal_accepts_answers_until_it_is_full() -> None:
    journal = Journal(memoryview(bytearray(JOURNAL_BYTES)))
    assert not journal.add(1, 1, 1, 1, bytes(JOURNAL_BYTES)), "too large for any journal"
    count = 1
    while journal.add(count, 1, 1, 1, b""):
        count += 1
    assert len(journal.extent) == count - 1 > 100
    journal.clear()
    assert journal.add(count, 1, 1, 1, b"")
    assert journal.extent == range(count, count + 1)


@pytest.mark.parametrize("before", ["its first entry", "all entries"])
def test_a_journal_that_changes_while_it_is_read_returns_none(before: str) -> None:
    """The other side of the same memory clears it in between."""
    memory = memoryview(bytearray(JOURNAL_BYTES))
    worker = Journal(memory)
    worker.add(1, 1, 5, 5, b"old")

    class Read(Journal):
        def _parts(self, count: int, size: int) -> tuple[memoryview, ...]:
            parts = super()._parts(count, size)
            worker.clear()
            if before == "all entries":
                worker.add(2, 1, 6, 6, b"new")
            return parts

    assert Read(memory).read() is None


@given(st.lists(ENTRY, min_size=1, max_size=10), st.integers(1, 5), st.integers(0, 99))
def test_entries_that_are_counted_before_they_are_visible_are_not_read(
    entries: list[Any], more: int, seed: int
) -> None:
    """A CPU that reorders stores may show them so: only entries of the first look are read."""
    memory = memoryview(bytearray(Random(seed).randbytes(JOURNAL_BYTES)))
    memory[:16] = bytes(16)
    worker, parent = Journal(memory), Journal(memory)
    for serial, (begun_ns, ran_ns, ending, payload) in enumerate(entries, 100):
        worker.add(serial, ending, begun_ns, ran_ns, payload)
    seen = parent.extent
    memory[8:16] = (len(entries) + more).to_bytes(8, "little")
    found = parent.read(seen.stop)
    assert found is not None
    serials, framed = found
    assert serials == seen
    parts = unpack_begun(len(entries), framed), *unpack_ran(len(entries), framed)
    assert list(zip(*parts, strict=True)) == entries


@given(st.integers(0, 2**32 - 1), st.binary(max_size=100))
def test_a_payload_of_the_wrong_size_is_an_error(count: int, payload: bytes) -> None:
    try:
        ran_ns, endings, payloads = unpack_ran(count, payload)
    except FrameError:
        return
    assert len(ran_ns) == len(endings) == len(payloads) == count > 0
    assert set(endings) <= {1, 2, 3, 4, 5}
    assert b"".join(payloads) == payload[25 * count :]


@given(st.binary(min_size=25, max_size=25), st.binary(max_size=8))
def test_an_unknown_ending_is_an_error(entry: bytes, payload: bytes) -> None:
    sized = entry[:8] + len(payload).to_bytes(8, "little") + entry[16:]
    known = entry[24] in range(Ending.VALUE, Ending.LARGE_SHOWN + 1)
    if known:
        assert unpack_ran(1, sized + payload)[1:] == (bytearray(entry[24:]), [payload])
    else:
        with pytest.raises(FrameError):
            unpack_ran(1, sized + payload)


# Texts

SIMPLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1000, 1000)
    | st.text(max_size=10)
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(SIMPLE.filter(lambda value: not isinstance(value, str)))
def test_the_text_of_a_small_value_is_its_repr(value: object) -> None:
    assert display_text(value) == repr(value)
    if has_plain_repr(value):
        assert str(value) == display_text(value)


@given(st.text())
def test_the_text_of_a_text_is_itself(text: str) -> None:
    assert display_text(text) == text
    assert has_plain_repr(text)


class Loud:
    def __repr__(self) -> str:
        return "x" * 10_000_000


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Rude:
    def __repr__(self) -> str:
        raise SystemExit


@pytest.mark.parametrize(
    "value",
    [
        list(range(100_000)),
        dict.fromkeys(range(1000), "x" * 1000),
        set(range(10_000)),
        [[[[[[[[[[[1]]]]]]]]]]] * 30,
        bytes(10_000_000),
        bytearray(10_000_000),
        10**5000,
        Loud(),
        [Loud()] * 10,
        Mute(),
        [Mute()],
        Rude(),
        [Rude()],
    ],
    ids=lambda value: type(value).__name__,
)
def test_texts_of_values_are_bounded(value: object) -> None:
    assert 0 < len(display_text(value)) <= 1100
    assert not has_plain_repr(value)


def test_a_text_of_a_subclass_becomes_a_plain_text() -> None:
    class Styled(str):
        __slots__ = ()

    assert type(display_text(Styled("a"))) is str
    assert all(type(text) is str for text in describe(ValueError(Styled("a")), ""))


def test_an_exception_that_breaks_traceback_printing_is_described() -> None:
    class Awkward(Exception):
        @property
        def __notes__(self) -> list[str]:
            raise RuntimeError("no notes")

        @property
        def __cause__(self) -> BaseException:  # type: ignore[override]
            raise RuntimeError("no cause")

    try:
        raise Awkward("text")
    except Awkward as error:
        text, kind, position = describe(error, "")
    assert text == "text"
    assert kind.endswith("Awkward")
    assert "in test_an_exception" in position
