"""Large inputs and return values, which are not sent through the pipes."""

from __future__ import annotations

import os
import pickle
import resource
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import sample_callables as samples
import sample_initializers as initializers

import enact_pool._ipc.large_value
from enact_pool import Err, EventEmitter, Ok, Pool, StepEnd, map_parallel

SIZE = 3_000_000


class Block:
    """Memory that is sent out of band, like that of an array."""

    def __init__(self, memory: Any) -> None:
        self.memory = memoryview(memory)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Block, (pickle.PickleBuffer(self.memory),)

    def __repr__(self) -> str:
        return f"<Block of {len(self.memory)} bytes>"


@pytest.fixture
def pool() -> Any:
    with Pool(2) as pool:
        yield pool


def files_of(pid: int) -> int:
    """Count a worker's open and mapped memory files; its flight recorder is one of each."""
    open_files = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    mapped = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return sum("memfd:enact_pool" in line for line in open_files + mapped)


def scribble(block: Block) -> bytes:
    seen = bytes(block.memory[:4])
    block.memory[:4] = b"mine"
    return seen


def test_each_callable_writes_to_its_own_copy_of_a_large_input(pool: Pool) -> None:
    memory = bytearray(SIZE)
    results = pool.run_parallel([scribble] * 20, Block(memory))
    assert [result.output for result in results] == [Ok(bytes(4))] * 20
    assert memory == bytes(SIZE)


@pytest.mark.parametrize("value", [bytes(SIZE), "x" * SIZE, bytearray(SIZE), [bytes(SIZE)] * 2])
def test_large_values_of_every_kind_are_sent_both_ways(pool: Pool, value: Any) -> None:
    emitter = EventEmitter()
    results = pool.run_parallel([lambda x: x] * 5, value, emitter)
    assert [result.output for result in results] == [Ok(value)] * 5
    assert [len(e.output or "") for e in emitter.drain() if isinstance(e, StepEnd)]


def test_a_large_value_with_an_empty_last_part_is_sent_both_ways(pool: Pool) -> None:
    """After a part whose size is not a multiple of the alignment."""
    value = [Block(bytearray(SIZE + 1)), Block(bytearray())]
    (result,) = pool.run_parallel([lambda blocks: blocks], value)
    assert isinstance(result.output, Ok), result.output
    assert [len(block.memory) for block in result.output.value] == [SIZE + 1, 0]


def test_a_large_return_value_is_writable_and_costs_no_descriptor(pool: Pool) -> None:
    before = set(os.listdir("/dev/fd"))
    emitter = EventEmitter()
    results = pool.run_parallel([lambda _: Block(bytearray(SIZE))] * 9, 0, emitter)
    after = set(os.listdir("/dev/fd"))
    for result in results:
        block = result.output.unwrap()
        block.memory[5] = 1
        assert sum(block.memory) == 1
    assert {e.output for e in emitter.drain() if isinstance(e, StepEnd)} == {
        f"<Block of {SIZE} bytes>"
    }
    assert len(after) <= len(before) + 2 * 10, "those of two workers"


def test_a_crash_costs_only_its_own_large_result(pool: Pool) -> None:
    callables = [samples.segfault if i == 3 else bytes for i in range(9)]
    results = pool.run_parallel(callables, bytes(SIZE))
    assert results.pop(3).error is not None
    assert [result.output for result in results] == [Ok(bytes(SIZE))] * 8


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="no list of mappings")
def test_a_large_input_is_released_after_the_run(pool: Pool) -> None:
    pids = {r.output.unwrap() for r in pool.run_parallel([lambda _: os.getpid()] * 20, 0)}
    before = {pid: files_of(pid) for pid in pids}
    shm = sorted(os.listdir("/dev/shm"))
    pool.run_parallel([scribble] * 20, Block(bytearray(SIZE)))
    # A worker executes commands in order: it has released the input when it answers.
    pool.run_parallel([lambda _: None] * 20, 0)
    assert {pid: files_of(pid) for pid in pids} == before
    assert sorted(os.listdir("/dev/shm")) == shm


def test_a_large_input_is_sent_without_space_for_a_file(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> int:
        raise OSError("no space left")

    monkeypatch.setattr(enact_pool._ipc.large_value, "create_file", full)
    results = pool.run_parallel([scribble] * 9, Block(bytearray(SIZE)))
    assert [result.output for result in results] == [Ok(bytes(4))] * 9


def test_a_large_value_is_sent_without_a_descriptor_for_a_file(pool: Pool) -> None:
    def without_descriptors(_: object) -> Block:
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        return Block(bytearray(SIZE))

    (result,) = pool.run_parallel([without_descriptors], 0)
    assert len(result.output.unwrap().memory) == SIZE


def test_a_large_value_that_cannot_be_received_costs_one_result(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent has no free descriptor."""
    results = pool.run_parallel([samples.square] * 9, 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    fillers = []
    try:
        while True:
            fillers.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    try:
        callables = [(lambda _: bytes(SIZE)) if i == 3 else samples.square for i in range(9)]
        results = pool.run_parallel(callables, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)
    blamed = results.pop(3)
    assert isinstance(blamed.output, Err)
    assert blamed.output.error.startswith("the return value cannot be received: OSError: ")
    assert blamed.error is None
    assert [result.output for result in results] == [Ok(4)] * 8


def test_a_function_with_a_large_closure_is_sent_once(pool: Pool) -> None:
    captured = Block(bytearray(SIZE))

    def sized(x: int) -> int:
        return len(captured.memory) + x

    results = map_parallel(sized, range(50), pool=pool)
    assert [result.output for result in results] == [Ok(SIZE + i) for i in range(50)]


def test_a_large_input_for_a_dead_worker_is_sent_to_another(pool: Pool) -> None:
    (pid,) = {r.output.unwrap() for r in pool.run_parallel([lambda _: os.getpid()], 0)}
    os.kill(pid, signal.SIGKILL)
    while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert [r.output for r in pool.run_parallel([len] * 3, bytes(SIZE))] == [Ok(SIZE)] * 3


@pytest.mark.parametrize("input", [bytes(400_000_000), [bytes(400_000_000)]], ids=["bytes", "list"])
def test_a_large_input_that_a_worker_cannot_map_fails_all_callables(input: Any) -> None:
    with Pool(1, initializer=initializers.limit_memory, initargs=(300_000_000,)) as pool:
        results = pool.run_parallel([len] * 3, input)
    for result in results:
        assert isinstance(result.output, Err)
        assert result.output.error.startswith("the input cannot be rebuilt in the worker: ")
