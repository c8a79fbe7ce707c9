"""Large values in mapped files, without a worker on the other side."""

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
    """An object whose memory travels out of band, as that of an array does."""

    def __init__(self, memory: Any) -> None:
        self.memory = memoryview(memory)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Block, (pickle.PickleBuffer(self.memory),)


def large_value_with(value: object) -> LargeValue:
    buffers: list[pickle.PickleBuffer] = []
    large = large_value_of(pickle_output(value, None, buffers, None), buffers)
    assert large is not None
    return large


def content(size: int) -> bytearray:
    return bytearray(os.urandom(1 << 10) * (size >> 10))


@pytest.fixture
def ends() -> Iterator[tuple[int, SideChannelReader]]:
    one, other = pair()
    os.set_blocking(other, False)
    side = SideChannelReader(other)
    yield one, side
    side.clear()
    os.close(one)
    os.close(other)


def test_a_value_is_rebuilt_with_all_its_buffers() -> None:
    memories = [content(LARGE_BYTES), content(1 << 10), bytearray(), content(3 * LARGE_BYTES)]
    large = large_value_with([Block(memory) for memory in memories])
    rebuilt = large.rebuild()
    large.close()
    assert [bytes(block.memory) for block in rebuilt] == [bytes(memory) for memory in memories]


def test_large_bytes_are_rebuilt() -> None:
    value = bytes(content(LARGE_BYTES))
    large = large_value_with(value)
    assert large.rebuild() == value
    large.close()


def test_a_write_to_one_copy_changes_no_other_copy() -> None:
    """Neither an existing copy, nor a later one that uses the same memory."""
    large = large_value_with(Block(bytearray(1 << 20)))
    kept, written = large.rebuild(), large.rebuild()
    for at in (0, 5 * mmap.PAGESIZE + 3, (1 << 20) - 1):
        written.memory[at] = 1
    assert bytes(kept.memory) == bytes(1 << 20)
    written = None
    gc.collect()
    assert bytes(large.rebuild().memory) == bytes(1 << 20)
    every_page = large.rebuild()
    for at in range(0, 1 << 20, 2 * mmap.PAGESIZE):
        every_page.memory[at] = 1
    every_page = None
    assert bytes(large.rebuild().memory) == bytes(1 << 20)
    large.close()


def test_memory_is_used_again_only_when_nothing_uses_a_part_of_it() -> None:
    large = large_value_with(Block(bytearray(1 << 20)))
    part = large.rebuild().memory[4096:4100]
    other = large.rebuild()
    other.memory[4096:4100] = b"abcd"
    assert bytes(part) == bytes(4)
    large.close()


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="no list of mappings")
def test_memory_is_free_when_the_large_value_is_closed_and_nothing_uses_it() -> None:
    def mapped() -> int:
        gc.collect()
        with open("/proc/self/maps") as maps:
            return sum("memfd:enact_pool" in line for line in maps)

    before = mapped()
    large = large_value_with(Block(bytearray(1 << 20)))
    values = [large.rebuild() for _ in range(3)]
    del values[0]
    large.close()
    assert mapped() == before + 2
    assert bytes(values[0].memory) == bytes(1 << 20), "rebuilt values stay valid"
    values.clear()
    assert mapped() == before


def test_memory_that_is_reclaimed_during_a_close_is_freed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread closes the large value while its memory is reset."""
    large = large_value_with(Block(bytearray(1 << 20)))
    mappings = large._mappings
    value = large.rebuild()

    def reset(address: int) -> bool:
        large.close()
        return True

    monkeypatch.setattr(mappings, "_reset", reset)
    assert len(value.memory) == 1 << 20
    value = None
    gc.collect()
    assert not mappings._unused


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only these can be sealed")
def test_no_process_can_change_the_file() -> None:
    large = large_value_with(Block(bytearray(1 << 20)))
    with pytest.raises(PermissionError):
        os.ftruncate(large._descriptor, 1)
    with pytest.raises(PermissionError):
        os.pwrite(large._descriptor, b"x", 0)
    large.close()


def test_a_small_value_is_not_a_large_value() -> None:
    buffers = [pickle.PickleBuffer(bytes(LARGE_BYTES - 200))]
    assert large_value_of(b"x" * 100, buffers) is None


def test_without_room_there_is_no_large_value_and_no_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> int:
        raise OSError("no space left")

    before = set(os.listdir("/dev/fd"))
    monkeypatch.setattr(os, "pwrite", full)
    assert large_value_of(bytes(LARGE_BYTES), []) is None
    assert set(os.listdir("/dev/fd")) == before


def test_a_large_value_passes_a_socket(ends: tuple[int, SideChannelReader]) -> None:
    value = bytes(content(LARGE_BYTES))
    sent = large_value_with(value)
    sent.send(ends[0], 7)
    sent.close()
    received = LargeValue.receive(ends[1], 7, sent.layout)
    assert received.rebuild() == value
    received.close()


def test_large_values_without_an_answer_are_closed(ends: tuple[int, SideChannelReader]) -> None:
    before = set(os.listdir("/dev/fd"))
    for tag in (6, 7):
        large = large_value_with(bytes(content(LARGE_BYTES)))
        large.send(ends[0], tag)
        large.close()
    LargeValue.receive(ends[1], 7, large.layout).close()
    assert set(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize("message", [b"", b"abc", b"more bytes than a header has"])
def test_a_large_value_that_was_not_sent_is_an_error(
    ends: tuple[int, SideChannelReader], message: bytes
) -> None:
    os.write(ends[0], message)
    with pytest.raises(FrameError):
        LargeValue.receive(ends[1], 7, bytes(8))


def test_a_message_without_its_descriptor_is_an_os_error(
    ends: tuple[int, SideChannelReader],
) -> None:
    """A process that has no descriptor left receives such a message."""
    os.write(ends[0], header(Kind.DESCRIPTORS, 7))
    with pytest.raises(OSError, match="Too many open files"):
        LargeValue.receive(ends[1], 7, bytes(8))


def test_a_file_that_is_too_small_is_an_error(ends: tuple[int, SideChannelReader]) -> None:
    large = large_value_with(bytes(content(LARGE_BYTES)))
    large.send(ends[0], 7)
    large.close()
    before = set(os.listdir("/dev/fd"))
    with pytest.raises(FrameError, match="too small"):
        LargeValue.receive(ends[1], 7, (1 << 40).to_bytes(8, "little"))
    assert set(os.listdir("/dev/fd")) == before
