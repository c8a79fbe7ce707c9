"""The kernel's counters of processes that it killed because memory had run out."""

from __future__ import annotations

import re

__all__ = ["oom_kills"]

_COUNT = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)
_GROUP = re.compile(r"^\d+:(|.*\bmemory\b.*):(/.*)$", re.MULTILINE)


def oom_kills() -> tuple[int, ...]:
    """Return how often that has happened, on this machine and in our control group (v1 or v2).

    Missing counters, such as those of macOS, are 0.
    """
    places = ["/proc/vmstat"]
    try:
        with open("/proc/self/cgroup") as file:
            groups = _GROUP.findall(file.read())
    except OSError:
        groups = []
    for controllers, path in groups:
        if controllers:
            places.append(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
        else:
            places.append(f"/sys/fs/cgroup{path}/memory.events")
    return tuple(map(_count_in, places))


def _count_in(place: str) -> int:
    try:
        with open(place, "rb", buffering=0) as file:
            found = _COUNT.search(file.read())
    except OSError:
        return 0
    return int(found[1]) if found else 0
