"""Frames, and the texts of values and exceptions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enact_pool.texts import describe, shown, shows_itself
from enact_pool.wire import ANSWER, Answer, FrameError, FrameReader, pack_answer

FRAMES = st.lists(
    st.tuples(
        st.sampled_from(Answer),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=60),
    )
)


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
        assert 0 < reader.missing <= len(stream) or len(read) < len(frames)
        read.extend(reader.feed(stream))
    assert read == frames
    assert reader.missing == ANSWER.size


def test_the_reader_says_how_much_of_a_large_frame_is_missing() -> None:
    reader = FrameReader(ANSWER)
    frame = pack_answer(Answer.VALUE, 1, 1, bytes(1000))
    assert reader.feed(frame[: ANSWER.size + 10]) == []
    assert reader.missing == 990


def test_what_is_no_frame_is_an_error() -> None:
    with pytest.raises(FrameError):
        FrameReader(ANSWER).feed(b"\xff" * 100)


@given(frames=FRAMES.filter(bool), garbage=st.binary(min_size=30, max_size=60))
def test_frames_before_what_is_no_frame_are_given(frames: list[Any], garbage: bytes) -> None:
    reader = FrameReader(ANSWER)
    assert reader.feed(b"".join(pack_answer(*frame) for frame in frames) + b"x" + garbage) == frames
    with pytest.raises(FrameError):
        reader.feed(b"x")


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
def test_small_values_are_shown_as_their_repr(value: object) -> None:
    assert shown(value) == repr(value)
    if shows_itself(value):
        assert str(value) == shown(value)


@given(st.text())
def test_texts_are_shown_as_they_are(text: str) -> None:
    assert shown(text) == text
    assert shows_itself(text)


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
def test_no_value_is_shown_at_great_length(value: object) -> None:
    assert 0 < len(shown(value)) <= 1100
    assert not shows_itself(value)


def test_a_text_of_a_subclass_is_sent_as_a_plain_one() -> None:
    class Styled(str):
        __slots__ = ()

    assert type(shown(Styled("a"))) is str
    assert all(type(text) is str for text in describe(ValueError(Styled("a")), ""))


def test_an_exception_that_breaks_traceback_printing_is_described_all_the_same() -> None:
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
