"""Polling of descriptors that spins for a moment before it sleeps.

Waking up a sleeping process takes 50 to 100 us if its CPU sleeps, too, as most
CPUs do on virtual machines: more than the rest of a round trip. So each side
spins for about that time, and pays at most twice the cost of sleeping at once
(the ski-rental argument, on which adaptive mutexes are built as well). Measured
on 2 virtual CPUs, a round trip of one no-op took 350 us asleep, 180 us when both
sides spun for 150 us, 130 us with 300 us.
"""

from __future__ import annotations

import os
import select
import time

__all__ = ["SPIN_SECONDS", "poll"]

SPIN_SECONDS = 0.0003

_SPIN_NS = int(SPIN_SECONDS * 1e9)

# Yields this CPU to other processes, above all to the other side.
_yield_cpu = getattr(os, "sched_yield", lambda: time.sleep(0))


# If the CPU is contended, `sched_yield` returns only after the others' time slices, which
# costs more than sleeping. So, once that was seen, this process does not spin for a while,
# and for longer each time that it is seen again. (Workers that have just been woken up
# contend for CPUs, too, for a moment.)
_CONTENDED_NS = 500_000
_FIRST_PAUSE_NS = 10_000_000
_LONGEST_PAUSE_NS = 640_000_000


class _Contention:
    """For how long this process does not spin, since the CPUs are contended."""

    pause_ns = _FIRST_PAUSE_NS
    pause_ends_ns = 0


_contention = _Contention()


def poll(poller: select.poll, timeout_ms: float | None, *, spin: bool) -> list[tuple[int, int]]:
    """Return `poller.poll(timeout_ms)`; if `spin`, sleep only after `SPIN_SECONDS`."""
    if not spin:
        return poller.poll(timeout_ms)
    look, now = poller.poll, time.perf_counter_ns
    begun = now()
    if begun < _contention.pause_ends_ns:
        return look(timeout_ms)
    while not (ready := look(0)):
        looked = now()
        if looked - begun > _SPIN_NS:
            return look(timeout_ms)
        _yield_cpu()
        if now() - looked > _CONTENDED_NS:
            _contention.pause_ends_ns = now() + _contention.pause_ns
            _contention.pause_ns = min(2 * _contention.pause_ns, _LONGEST_PAUSE_NS)
            return look(timeout_ms)
    _contention.pause_ns = _FIRST_PAUSE_NS
    return ready
