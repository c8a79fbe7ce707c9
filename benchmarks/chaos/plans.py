"""Plans: what one step of a chaos run does. All random choices are made here."""

from __future__ import annotations

from random import Random

from attrs import field, frozen

from benchmarks.chaos.tasks import CRASHES, REPEATED, Task
from benchmarks.chaos.values import VALUES

__all__ = ["Plan", "make_plan"]

# Kinds of tasks in any plan beside the crashes, with their weights.
_HARMLESS = {"noop": 30, "sleep": 8, "busy": 5, "raise": 5, "exit": 1, "fork": 1, "change_state": 1}
_ODD = {"unpicklable": 2, "unloadable": 2, "return_unpicklable": 2, "bytes": 2, "blob": 2}
_MIXED = {**_HARMLESS, **_ODD, **dict.fromkeys(CRASHES, 1)}
_QUICK = {"noop": 400, "raise": 1, **dict.fromkeys(CRASHES, 0.05)}
_SLOW = {"sleep": 10, "busy": 5, "raise": 1}
_RETURNING = {**dict.fromkeys(VALUES, 4), "noop": 2, "segfault": 0.2, "die": 0.2}

# Kinds of plans, with their weights.
_SORTS = {
    "single": 8,
    "swarm": 30,
    "mix": 35,
    "values": 10,
    "slow": 10,
    "slow limits": 9,
    "large limits": 7,
    "nested": 2,
    "repeated": 6,
}

_EMITTERS = {"none": 30, "events": 30, "slow": 15, "raising": 15, "nesting": 8, "forking": 4}

_LONGEST_MS = 20
_LARGEST_BYTES = 4 << 20

# No quick task waits so long for a CPU, unless its worker is stopped.
_TIMEOUT_S = (0.7, 1.5)
# More than a worker with the largest values uses, and less than a "hoard" task.
_MAX_MEMORY_BYTES = 200 << 20


@frozen
class Plan:
    """One call: its tasks, its pool and its options."""

    number: int
    where: str
    sort: str
    # "run", "iter", "map" or "imap".
    way: str
    tasks: list[Task] = field(repr=lambda tasks: f"<{len(tasks)} tasks>")
    # Whether closures are run instead of `Task` objects.
    as_closures: bool
    ordered: bool
    # "shared", "default" or "own"; for the latter, its workers and its idle time-out in seconds.
    place: str
    workers: int
    idle_timeout: float | None
    max_workers: int | None
    # The kind of the input, and its size in bytes.
    input: tuple[str, int]
    # "none", "events", "slow", "raising", "nesting" or "forking".
    emitter: str
    # After how many results a lazy call is closed; and the pause after each result in seconds.
    stops_after: int | None
    pause_s: float
    # After how many seconds the pool is cancelled.
    cancels_after: float | None
    timeout: float | None
    max_memory: int | None
    max_tasks: int | None
    fail_fast: bool

    @property
    def is_lazy(self) -> bool:
        """Whether results are returned one by one."""
        return self.way in ("iter", "imap")

    @property
    def is_map(self) -> bool:
        """Whether tasks are the inputs of one function."""
        return self.way in ("map", "imap")


def make_plan(random: Random, number: int, where: str, log: str) -> Plan:
    """Make the next plan of a driver, whose tasks log their starts in `log`."""
    sort = _chosen(random, _SORTS)
    way = random.choice(["run", "run", "iter", "map", "imap"])
    is_lazy = way in ("iter", "imap")
    limits_time = sort == "slow limits"
    limits_memory = sort == "large limits"
    place = random.choice(["shared", "shared", "default", "default", "own"])
    kinds = _kinds(random, sort)
    tasks = [
        Task(kind, number, index, _amount(random, kind), log) for index, kind in enumerate(kinds)
    ]
    if sort == "repeated":
        tasks = [Task("noop", number, REPEATED, 0, log)] * random.choice([10, 300, 3000])
    input = ("nothing", 0)
    if way in ("run", "iter"):
        # Each task checks its whole input.
        largest = _LARGEST_BYTES if len(tasks) < 50 else 1 << 10
        shape = random.choice(["nothing", "nothing", "list", "bytes", "blob"])
        input = shape, random.randrange(8, largest, 8)
    return Plan(
        number=number,
        where=where,
        sort=sort,
        way=way,
        tasks=tasks,
        as_closures=way in ("run", "iter") and sort in ("swarm", "mix") and random.random() < 0.4,
        ordered=not is_lazy or random.random() < 0.6,
        place=place,
        workers=random.randint(1, 3),
        idle_timeout=random.choice([None, 300.0, 0.02]),
        max_workers=random.randint(1, 3) if random.random() < 0.1 and place != "own" else None,
        input=input,
        emitter=_chosen(random, _EMITTERS),
        stops_after=(
            random.randint(0, max(1, len(tasks))) if is_lazy and random.random() < 0.25 else None
        ),
        pause_s=random.choice([0.0, 0.0, 0.0, 0.002]) if is_lazy and len(tasks) < 100 else 0.0,
        cancels_after=random.random() ** 2 * 0.5 if random.random() < 0.06 else None,
        timeout=random.uniform(*_TIMEOUT_S) if limits_time else None,
        max_memory=_MAX_MEMORY_BYTES if limits_memory else None,
        # Per worker; about twenty starts of workers are enough for any plan.
        max_tasks=(
            random.choice([1, 3, 10, 100]) + len(tasks) // 20 if random.random() < 0.08 else None
        ),
        fail_fast=random.random() < 0.08,
    )


def _chosen(random: Random, weights: dict[str, float] | dict[str, int]) -> str:
    return random.choices(list(weights), list(weights.values()))[0]


def _kinds(random: Random, sort: str) -> list[str]:
    """Choose the kinds of a plan's tasks."""
    if sort == "single":
        return [_chosen(random, _MIXED)]
    if sort == "swarm":
        size = random.choice([100, 300, 1000, 4000])
        return random.choices(list(_QUICK), list(_QUICK.values()), k=size)
    if sort == "values":
        return random.choices(list(_RETURNING), list(_RETURNING.values()), k=random.randint(1, 30))
    if sort == "slow":
        return random.choices(list(_SLOW), list(_SLOW.values()), k=random.randint(2, 100))
    kinds = random.choices(list(_MIXED), list(_MIXED.values()), k=random.randint(0, 60))
    special = {"slow limits": "endless", "large limits": "hoard", "nested": "nest"}.get(sort)
    if special is not None:
        for _ in range(random.randint(1, 2)):
            kinds.insert(random.randint(0, len(kinds)), special)
    return kinds


def _amount(random: Random, kind: str) -> int:
    if kind in ("sleep", "busy"):
        return random.randint(0, _LONGEST_MS)
    if kind in VALUES:
        # Logarithmic: as many small values as large ones.
        return int(_LARGEST_BYTES ** random.uniform(0.3, 1.0))
    if kind == "nest":
        return random.randint(1, 4)
    return 0
