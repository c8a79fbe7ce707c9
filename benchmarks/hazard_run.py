"""One hazard with one library: how its process is started and ended, and the verdict."""

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

from benchmarks.outcome_contenders import OUTCOME_CONTENDERS
from tests.hazards.hazard import Hazard
from tests.hazards.small_disk import on_small_disk, small_disk_refusal

__all__ = ["HOLDS", "HazardRun", "Verdict"]

# Every process that a run starts, directly or not, has this in its environment.
_MARK = "ENACT_POOL_HAZARD_RUN"
# How long processes that are left may take to end by themselves.
_GRACE_S = 2.0
# How long trackers of resources may take to tidy up.
_TIDYING_S = 5.0


@frozen
class Verdict:
    """The verdict on a run in a word, and the number of callables or processes it is about."""

    word: str
    count: int | None = None

    def __str__(self) -> str:
        return self.word if self.count is None else f"{self.word} {self.count}"


HOLDS = Verdict("holds")


class HazardRun:
    """One run of a hazard with a library. `limit` is in seconds."""

    def __init__(self, contender: str, hazard: Hazard, workers: int, limit: float) -> None:
        self._contender = contender
        self._hazard = hazard
        self._workers = workers
        self._limit = max(limit, hazard.patience_s)
        self._mark = uuid4().hex
        # The process id of the caller.
        self._caller: int | None = None

    def verdict(self) -> Verdict:
        """Run the hazard, remove everything it leaves, and return the verdict."""
        hazard = self._hazard
        if hazard.max_memory is not None and not OUTCOME_CONTENDERS[self._contender].limits_memory:
            return Verdict("no limit")
        with tempfile.TemporaryDirectory(prefix="hazard-") as folder:
            disk, report = Path(folder, "disk"), Path(folder, "report")
            disk.mkdir()
            disk.chmod(0o1777)
            if hazard.needs_small_disk and small_disk_refusal(str(disk)):
                return Verdict("not tried")
            try:
                code = self._exit_code(disk, report)
                left = psutil.wait_procs(self._left() if code is not None else [], _GRACE_S)[1]
            finally:
                self._clean_up()
            found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
        return _judged(found, code, len(left))

    def _exit_code(self, disk: Path, report: Path) -> int | None:
        """Run the process; return its exit code, or None if it did not end in time."""
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
                self._clean_up()
                process.wait()

    def _left(self) -> list[psutil.Process]:
        """Return the processes of this run that have not ended, except trackers of resources."""
        return [process for process in self._all() if not _is_tracker(process)]

    def _all(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == self._mark:
                    found.append(process)
            except psutil.Error:
                continue  # it has ended, or belongs to another user
        return found

    def _clean_up(self) -> None:
        """Kill all processes of this run, and remove what they left in shared memory."""
        # Trackers remove semaphores and the like when the processes they serve have ended.
        while left := self._left():
            _kill(left)
        psutil.wait_procs(self._all(), _TIDYING_S)
        while left := self._all():
            _kill(left)
        # What trackers could not remove: they were killed with the process group of a callable.
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


def _judged(report: dict[str, Any] | None, code: int | None, left: int) -> Verdict:
    """Return the verdict, from the caller's exit code and the number of processes left, too."""
    if report is None:
        return Verdict("hangs" if code is None else "kills caller")
    if "raised" in report:
        return Verdict("raises")
    lost = report["lost"] + report["missing"]
    if lost:
        return Verdict("loses", lost)
    if report["wrong"] or not report["is_reported"]:
        return Verdict("wrong")
    if code is None:
        return Verdict("hangs at end")
    if code:
        return Verdict("kills caller" if code < 0 else "fails at end")
    return Verdict("leaves", left) if left else HOLDS
