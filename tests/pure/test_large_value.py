"""Large values in files that are mapped, without a worker on the other side."""

from __future__ import annotations

import gc
import mmap
import os
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from enact_pool._ipc.large_value import LargeValue, large_value_of
from enact_pool._ipc.side_channel import Kind, SideChannelReader, header, pair
from enact_pool._mirror.worker.result_pickling import pickle_output
from enact_pool._wire.frames import LARGE_BYTES, FrameError


class Block:
    """Memory that travels out of band, as that of an array does."""

    def __init__(self, memory: Any) -> None:
        self.memory = memoryview(memory)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Block, (pickle.PickleBuffer(self.memory),)


def parcel_of(value: object) -> LargeValue:
    buffers: list[pickle.PickleBuffer] = []
    parcel = large_value_of(pickle_output(value, None, buffers, None), buffers)
    assert parcel is not None
    return parcel


def content(size: int) -> bytearray:
    return bytearray(os.urandom(1 << 10) * (size >> 10))


@pytest.fixture
def ends() -> Iterator[tuple[int, SideChannelReader]]:
    one, other = pair()
    os.set_blocking(other, False)
    mail = SideChannelReader(other)
    yield one, mail
    mail.clear()
    os.close(one)
    os.close(other)


def test_a_value_is_rebuilt_with_all_that_was_out_of_band() -> None:
    memories = [content(LARGE_BYTES), content(1 << 10), bytearray(), content(3 * LARGE_BYTES)]
    parcel = parcel_of([Block(memory) for memory in memories])
    rebuilt = parcel.rebuild()
    parcel.close()
    assert [bytes(block.memory) for block in rebuilt] == [bytes(memory) for memory in memories]


def test_large_bytes_are_rebuilt() -> None:
    value = bytes(content(LARGE_BYTES))
    parcel = parcel_of(value)
    assert parcel.rebuild() == value
    parcel.close()


def test_what_is_written_to_one_copy_is_seen_in_no_other() -> None:
    """Not in one that was there, nor in one that takes over its memory."""
    parcel = parcel_of(Block(bytearray(1 << 20)))
    kept, written = parcel.rebuild(), parcel.rebuild()
    for at in (0, 5 * mmap.PAGESIZE + 3, (1 << 20) - 1):
        written.memory[at] = 1
    assert bytes(kept.memory) == bytes(1 << 20)
    written = None
    gc.collect()
    assert bytes(parcel.rebuild().memory) == bytes(1 << 20)
    every_page = parcel.rebuild()
    for at in range(0, 1 << 20, 2 * mmap.PAGESIZE):
        every_page.memory[at] = 1
    every_page = None
    assert bytes(parcel.rebuild().memory) == bytes(1 << 20)
    parcel.close()


def test_memory_is_used_again_only_when_nothing_uses_a_part_of_it() -> None:
    parcel = parcel_of(Block(bytearray(1 << 20)))
    part = parcel.rebuild().memory[4096:4100]
    other = parcel.rebuild()
    other.memory[4096:4100] = b"abcd"
    assert bytes(part) == bytes(4)
    parcel.close()


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="no list of mappings")
def test_memory_is_free_when_the_parcel_is_closed_and_nothing_uses_it() -> None:
    def mapped() -> int:
        gc.collect()
        with open("/proc/self/maps") as maps:
            return sum("memfd:enact_pool" in line for line in maps)

    before = mapped()
    parcel = parcel_of(Block(bytearray(1 << 20)))
    values = [parcel.rebuild() for _ in range(3)]
    del values[0]
    parcel.close()
    assert mapped() == before + 2
    assert bytes(values[0].memory) == bytes(1 << 20), "what was rebuilt stays"
    values.clear()
    assert mapped() == before


def test_memory_is_free_that_is_given_back_while_the_parcel_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By another thread: the parcel is closed while it is made as new."""
    parcel = parcel_of(Block(bytearray(1 << 20)))
    mappings = parcel._mappings
    value = parcel.rebuild()

    def made_as_new(address: int) -> bool:
        parcel.close()
        return True

    monkeypatch.setattr(mappings, "_make_as_new", made_as_new)
    assert len(value.memory) == 1 << 20
    value = None
    gc.collect()
    assert not mappings._unused


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only these can be sealed")
def test_nobody_can_change_the_file() -> None:
    parcel = parcel_of(Block(bytearray(1 << 20)))
    with pytest.raises(PermissionError):
        os.ftruncate(parcel._descriptor, 1)
    with pytest.raises(PermissionError):
        os.pwrite(parcel._descriptor, b"x", 0)
    parcel.close()


def test_small_values_make_no_parcel() -> None:
    buffers = [pickle.PickleBuffer(bytes(LARGE_BYTES - 200))]
    assert large_value_of(b"x" * 100, buffers) is None


def test_no_room_makes_no_parcel_and_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError("no space left")

    before = set(os.listdir("/dev/fd"))
    monkeypatch.setattr(os, "pwrite", full)
    assert large_value_of(bytes(LARGE_BYTES), []) is None
    assert set(os.listdir("/dev/fd")) == before


def test_a_parcel_passes_a_socket(ends: tuple[int, SideChannelReader]) -> None:
    value = bytes(content(LARGE_BYTES))
    sent = parcel_of(value)
    sent.send(ends[0], 7)
    sent.close()
    received = LargeValue.receive(ends[1], 7, sent.layout)
    assert received.rebuild() == value
    received.close()


def test_what_nobody_told_of_is_passed_over(ends: tuple[int, SideChannelReader]) -> None:
    before = set(os.listdir("/dev/fd"))
    for tag in (6, 7):
        parcel = parcel_of(bytes(content(LARGE_BYTES)))
        parcel.send(ends[0], tag)
        parcel.close()
    LargeValue.receive(ends[1], 7, parcel.layout).close()
    assert set(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize("message", [b"", b"abc", b"more bytes than a header has"])
def test_a_parcel_that_does_not_come_is_an_error(
    ends: tuple[int, SideChannelReader], message: bytes
) -> None:
    os.write(ends[0], message)
    with pytest.raises(FrameError):
        LargeValue.receive(ends[1], 7, bytes(8))


def test_a_parcel_that_comes_without_its_descriptor_is_an_error_of_its_own(
    ends: tuple[int, SideChannelReader],
) -> None:
    """So it comes to a process that has no descriptor left."""
    os.write(ends[0], header(Kind.DESCRIPTORS, 7))
    with pytest.raises(OSError, match="Too many open files"):
        LargeValue.receive(ends[1], 7, bytes(8))


def test_a_file_that_is_too_small_is_an_error(ends: tuple[int, SideChannelReader]) -> None:
    parcel = parcel_of(bytes(content(LARGE_BYTES)))
    parcel.send(ends[0], 7)
    parcel.close()
    before = set(os.listdir("/dev/fd"))
    with pytest.raises(FrameError, match="too small"):
        LargeValue.receive(ends[1], 7, (1 << 40).to_bytes(8, "little"))
    assert set(os.listdir("/dev/fd")) == before
