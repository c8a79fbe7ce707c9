"""A trial, seen from outside: how it is started, what it has shown, and how it is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

import psutil
from attrs import frozen

from benchmarks.outcome_contenders import ASKERS
from tests.hazards.catalogue import Hazard, on_small_disk, small_disk_refusal

__all__ = ["HOLDS", "TrialProcess", "Verdict"]

# Every process that a trial starts, at whatever remove, has this in its environment.
_MARK = "ENACT_POOL_TRIAL"
# What is left of a trial has so long to end by itself.
_GRACE_S = 2.0
# Trackers of resources have so long to tidy up.
_TIDYING_S = 5.0


@frozen
class Verdict:
    """What became of a trial, in a word, and how many callables or processes that is about."""

    word: str
    count: int | None = None

    def __str__(self) -> str:
        return self.word if self.count is None else f"{self.word} {self.count}"


HOLDS = Verdict("holds")


class TrialProcess:
    """One hazard, tried with one library. `limit` is in seconds."""

    def __init__(self, contender: str, hazard: Hazard, workers: int, limit: float) -> None:
        self._contender = contender
        self._hazard = hazard
        self._workers = workers
        self._limit = max(limit, hazard.patience_s)
        self._mark = uuid4().hex
        # The process id of the caller.
        self._caller: int | None = None

    def verdict(self) -> Verdict:
        """Do it, and leave nothing of it."""
        hazard = self._hazard
        if hazard.max_memory is not None and not ASKERS[self._contender].limits_memory:
            return Verdict("no limit")
        with tempfile.TemporaryDirectory(prefix="trial-") as folder:
            disk, report = Path(folder, "disk"), Path(folder, "report")
            disk.mkdir()
            disk.chmod(0o1777)
            if hazard.needs_small_disk and small_disk_refusal(str(disk)):
                return Verdict("not tried")
            try:
                code = self._code(disk, report)
                left = psutil.wait_procs(self._left() if code is not None else [], _GRACE_S)[1]
            finally:
                self._clear_away()
            told = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
        return _judged(told, code, len(left))

    def _code(self, disk: Path, report: Path) -> int | None:
        """Run it; gives the exit code of its process, or None if that did not end in time."""
        command = [
            sys.executable,
            "-m",
            "benchmarks.hazard_process",
            self._contender,
            self._hazard.name,
        ]
        command += [str(self._workers), str(report)]
        if self._hazard.needs_small_disk:
            command = on_small_disk(command, str(disk))
        environment = {**os.environ, _MARK: self._mark, "TMPDIR": str(disk)}
        with Path(disk.parent, "output").open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        self._caller = process.pid
        try:
            return process.wait(self._limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                self._clear_away()
                process.wait()

    def _left(self) -> list[psutil.Process]:
        """The processes of this trial that have not ended, but for trackers of resources."""
        return [process for process in self._all() if not _is_tracker(process)]

    def _all(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == self._mark:
                    found.append(process)
            except psutil.Error:
                continue  # it has ended, or is none of ours
        return found

    def _clear_away(self) -> None:
        """Kill all processes of this trial, and remove what they have left in shared memory."""
        # Trackers tidy up, semaphores for one, when those that they serve have ended.
        while left := self._left():
            _kill(left)
        psutil.wait_procs(self._all(), _TIDYING_S)
        while left := self._all():
            _kill(left)
        # Of trackers that were killed by a culprit, for they were in its process group.
        for path in Path("/dev/shm").glob(f"*[-_]{self._caller}[-_]*"):
            if path.is_dir():
                rmtree(path)
            else:
                path.unlink()


def _is_tracker(process: psutil.Process) -> bool:
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return False  # it has ended


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, _GRACE_S)


def _judged(told: dict[str, Any] | None, code: int | None, left: int) -> Verdict:
    """From what was reported, how the caller ended, and how many processes it has left."""
    if told is None:
        return Verdict("hangs" if code is None else "kills caller")
    if "raised" in told:
        return Verdict("raises")
    lost = told["lost"] + told["missing"]
    if lost:
        return Verdict("loses", lost)
    if told["wrong"] or not told["is_told"]:
        return Verdict("wrong")
    if code is None:
        return Verdict("hangs at end")
    if code:
        return Verdict("kills caller" if code < 0 else "fails at end")
    return Verdict("leaves", left) if left else HOLDS
