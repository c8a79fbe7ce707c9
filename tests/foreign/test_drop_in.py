"""Third-party programs that accept an executor, with ours instead of the usual one."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest

from enact_pool import PoolExecutor, WorkerCrashError


@pytest.fixture
def executor() -> Iterator[PoolExecutor]:
    with PoolExecutor(2) as executor:
        yield executor


def fail(_: object) -> None:
    raise LookupError("not there")


def test_dask_computes_on_the_executor(executor: PoolExecutor) -> None:
    dask = pytest.importorskip("dask", reason="dask is not installed")

    @dask.delayed  # type: ignore[untyped-decorator]
    def square(n: int) -> tuple[int, int]:
        return n * n, os.getpid()

    @dask.delayed  # type: ignore[untyped-decorator]
    def total(pairs: list[tuple[int, int]]) -> int:
        return sum(n for n, _ in pairs)

    squares = [square(n) for n in range(20)]
    computed = dask.compute(total(squares), *squares, scheduler="processes", pool=executor)
    assert computed[0] == sum(n * n for n in range(20))
    assert os.getpid() not in {pid for _, pid in computed[1:]}
    with pytest.raises(LookupError, match="not there"):
        dask.delayed(fail)(1).compute(scheduler="processes", pool=executor)


def test_dask_raises_a_crash_and_stays_usable(executor: PoolExecutor) -> None:
    dask = pytest.importorskip("dask", reason="dask is not installed")
    with pytest.raises(WorkerCrashError, match="exited with code 7"):
        dask.delayed(os._exit)(7).compute(scheduler="processes", pool=executor)
    assert dask.delayed(abs)(-1).compute(scheduler="processes", pool=executor) == 1


def test_tqdm_maps_with_the_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    """`process_map` uses the executor of `concurrent.futures`, and passes `initargs`."""
    tqdm = pytest.importorskip("tqdm.contrib.concurrent", reason="tqdm is not installed")
    # Its lock for workers must be of the start method's context.
    monkeypatch.setattr(tqdm.tqdm_auto, "_lock", get_context("spawn").RLock(), raising=False)
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", PoolExecutor)
    monkeypatch.setattr(tqdm.tqdm_auto, "monitor_interval", 0)
    mapped = tqdm.process_map(pow, range(30), [2] * 30, max_workers=2, chunksize=5, disable=True)
    assert mapped == [n * n for n in range(30)]
    with pytest.raises(LookupError, match="not there"):
        tqdm.process_map(fail, range(3), max_workers=2, disable=True)


BLACK = """
import concurrent.futures, sys
import black, black.concurrency
from enact_pool import PoolExecutor

made = []

class Noted(PoolExecutor):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        made.append(self)

concurrent.futures.ProcessPoolExecutor = black.concurrency.ProcessPoolExecutor = Noted
try:
    black.main(sys.argv[1:])
finally:
    print("executors made:", len(made))
"""


def test_black_formats_with_the_executor(tmp_path: Path) -> None:
    """For several files, black uses an executor in an asyncio loop."""
    pytest.importorskip("black", reason="black is not installed")
    files = [tmp_path / f"module_{n}.py" for n in range(6)]
    for file in files:
        file.write_text("x = {  'a':1 }\n")
    files[3].write_text("x = = 1\n")
    ended = subprocess.run(
        [sys.executable, "-c", BLACK, "--workers", "2", *map(str, files)],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "BLACK_CACHE_DIR": str(tmp_path / "cache")},
    )  # fmt: skip
    assert "executors made: 1" in ended.stdout
    assert "5 files reformatted, 1 file failed to reformat" in ended.stderr
    assert ended.returncode == 123
    texts = [file.read_text() for file in files]
    assert texts == ['x = {"a": 1}\n'] * 3 + ["x = = 1\n"] + ['x = {"a": 1}\n'] * 2
