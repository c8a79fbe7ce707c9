"""Whether the kernel has killed a process because memory had run out: its counters tell."""

from __future__ import annotations

import re

__all__ = ["oom_kills"]

_COUNT = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)
_GROUP = re.compile(r"^\d+:(|.*\bmemory\b.*):(/.*)$", re.MULTILINE)


def oom_kills() -> tuple[int, ...]:
    """How often that has happened: on this machine, and in our control group (of either version).

    Counters that are not there are 0: those of macOS, say.
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
