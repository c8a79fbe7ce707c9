"""Waiting on descriptors: awake for a moment at first, then asleep.

Waking up a process that sleeps takes 50 to 100 us where its CPU sleeps with it,
as most do on virtual machines: more than all else in a round trip. So each side
looks again and again for about as long as that, and pays at most twice what
sleeping at once would have cost (the ski-rental argument, on which adaptive
mutexes are built as well). Measured on 2 virtual CPUs, a round trip of one no-op
took 350 us asleep, 180 us when both sides spun for 150 us, 130 us with 300 us.
"""

from __future__ import annotations

import os
import select
import time

__all__ = ["SPIN_SECONDS", "poll"]

SPIN_SECONDS = 0.0003

_SPIN_NS = int(SPIN_SECONDS * 1e9)

# Gives way to whoever else wants this CPU, the other side above all.
_yield_cpu = getattr(os, "sched_yield", lambda: time.sleep(0))


# On a CPU that others want too, giving way takes as long as their turns are: more than
# sleeping would have. So, once that was seen, nobody spins for a while.
_CROWDED_NS = 500_000
_ABSTAIN_NS = 200_000_000


class _Crowd:
    """How crowded the CPUs are."""

    seen_ns = -_ABSTAIN_NS


_crowd = _Crowd()


def poll(poller: select.poll, timeout_ms: float | None, *, spin: bool) -> list[tuple[int, int]]:
    """What `poller.poll(timeout_ms)` gives; if `spin`, without sleeping for `SPIN_SECONDS`."""
    if not spin:
        return poller.poll(timeout_ms)
    look, now = poller.poll, time.perf_counter_ns
    begun = now()
    if begun - _crowd.seen_ns < _ABSTAIN_NS:
        return look(timeout_ms)
    while not (ready := look(0)):
        looked = now()
        if looked - begun > _SPIN_NS:
            return look(timeout_ms)
        _yield_cpu()
        if now() - looked > _CROWDED_NS:
            _crowd.seen_ns = now()
            return look(timeout_ms)
    return ready
