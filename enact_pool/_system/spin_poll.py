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
# sleeping would have. So, once that was seen, nobody spins for a while: for longer each
# time that it is seen again. (Workers that have just been woken up are a crowd, too, for
# a moment.)
_CROWDED_NS = 500_000
_FIRST_PAUSE_NS = 10_000_000
_LONGEST_PAUSE_NS = 640_000_000


class _Crowd:
    """How crowded the CPUs are."""

    pause_ns = _FIRST_PAUSE_NS
    pause_ends_ns = 0


_crowd = _Crowd()


def poll(poller: select.poll, timeout_ms: float | None, *, spin: bool) -> list[tuple[int, int]]:
    """What `poller.poll(timeout_ms)` gives; if `spin`, without sleeping for `SPIN_SECONDS`."""
    if not spin:
        return poller.poll(timeout_ms)
    look, now = poller.poll, time.perf_counter_ns
    begun = now()
    if begun < _crowd.pause_ends_ns:
        return look(timeout_ms)
    while not (ready := look(0)):
        looked = now()
        if looked - begun > _SPIN_NS:
            return look(timeout_ms)
        _yield_cpu()
        if now() - looked > _CROWDED_NS:
            _crowd.pause_ends_ns = now() + _crowd.pause_ns
            _crowd.pause_ns = min(2 * _crowd.pause_ns, _LONGEST_PAUSE_NS)
            return look(timeout_ms)
    _crowd.pause_ns = _FIRST_PAUSE_NS
    return ready
