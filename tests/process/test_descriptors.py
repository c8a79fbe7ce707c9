"""Promises that hold while this process cannot open descriptors."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from enact_pool import Pool


@contextmanager
def none_to_be_had() -> Iterator[None]:
    """Make every attempt to open a descriptor fail within the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Return a pool whose worker runs, after the modules for pickling were imported."""
    with Pool(1) as pool:
        pool.run_parallel([lambda _: None], "")
        yield pool


def endless(_: object) -> None:
    time.sleep(60)


def test_time_limits_are_enforced_without_descriptors(pool: Pool) -> None:
    with none_to_be_had():
        (result,) = pool.run_parallel([endless], None, timeout=0.2)
    assert result.error is not None
    assert (result.agent_name, result.error.code) == ("endless", "timeout")


def test_memory_limits_are_enforced_once_a_descriptor_is_free(pool: Pool) -> None:
    def hoard(_: object) -> int:
        hoard = bytearray(b"x") * (150 << 20)
        time.sleep(60)
        return len(hoard)

    with ExitStack() as squeeze:
        squeeze.enter_context(none_to_be_had())
        relief = threading.Timer(0.5, squeeze.close)
        relief.start()
        (result,) = pool.run_parallel([hoard], None, max_memory=100 << 20)
        relief.join()
    assert result.error is not None
    assert (result.agent_name, result.error.code) == ("hoard", "max_memory")
    assert result.duration_ms > 400


def test_a_pool_can_be_created_without_descriptors() -> None:
    with none_to_be_had():
        Pool().close()


SENDER = """
import os, resource
from enact_pool import Pool
with Pool(1) as pool:
    pool.run_parallel([len], "warm")
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, 4096))
    print(pool.run_parallel([len], bytes(1 << 20))[0].output)
"""


def test_a_large_input_is_sent_without_descriptors() -> None:
    """The first large value of a process: its module cannot be imported then."""
    done = subprocess.run(
        [sys.executable, "-c", SENDER], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("Ok(1048576)\n", "")


RECEIVER = """
import logging, resource, sys
from enact_pool import Pool, PoolExecutor, map_parallel

limit, workers, count = map(int, sys.argv[1:4])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
records = []
logging.basicConfig(handlers=[logging.NullHandler()])
logging.getLogger("values").addFilter(lambda record: records.append(record))

def value(number):
    logging.getLogger("values").warning("%d", number)
    return bytes([number % 256]) * 300_000

expected = [value(number) for number in range(count)]
records.clear()
with PoolExecutor(workers) as executor:
    print(list(executor.map(value, range(count))) == expected)
with Pool(workers) as pool:
    for options in ({}, {"forward_logs": True}):
        results = map_parallel(value, range(count), pool=pool, **options)
        print([result.output.unwrap() for result in results] == expected)
print(len(records) == count)
"""


@pytest.mark.parametrize(("limit", "workers", "count"), [(64, 2, 400), (256, 32, 800)])
def test_many_large_return_values_are_received_with_few_descriptors(
    limit: int, workers: int, count: int
) -> None:
    """More values at once than descriptors are free, and log records beside them."""
    numbers = map(str, (limit, workers, count))
    done = subprocess.run(
        [sys.executable, "-c", RECEIVER, *numbers],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "True\n" * 4
