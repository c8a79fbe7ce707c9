"""How many steps one quick callable takes in its caller: what a round trip costs beside waiting."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

import enact_pool
from enact_pool import Pool

FOLDER = os.path.dirname(enact_pool.__file__) + os.sep


def is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(FOLDER)


class Calls:
    """Counts the Python calls of this library, and those from one of its modules to another."""

    def __init__(self) -> None:
        self.all = 0
        self.across_modules = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not is_ours(frame):
            return
        self.all += 1
        caller = frame.f_back
        while caller is not None and not is_ours(caller):
            caller = caller.f_back
        if caller is None or caller.f_code.co_filename != frame.f_code.co_filename:
            self.across_modules += 1


def calls_of_a_no_op(pool: Pool) -> Calls:
    calls = Calls()
    sys.setprofile(calls)
    try:
        pool.run_parallel([len], "x")
    finally:
        sys.setprofile(None)
    return calls


def test_a_no_op_takes_few_calls() -> None:
    with Pool(2) as pool:
        for _ in range(3):
            pool.run_parallel([len] * 4, "x")
        # A worker that is slow to answer is looked at now and then: count the quickest run.
        runs = [calls_of_a_no_op(pool) for _ in range(20)]
    assert min(calls.all for calls in runs) <= 150
    assert min(calls.across_modules for calls in runs) <= 70
