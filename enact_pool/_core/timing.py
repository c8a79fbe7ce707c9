"""All time constants of the engine, the lanes and the workers, and what couples them.

Times are in seconds unless the name says otherwise. Constants of one formula (`batch_sizing`,
`spin_poll`) are defined beside it.
"""

from __future__ import annotations

__all__ = [
    "AWAY_SECONDS",
    "BLIND_SECONDS",
    "COLLECT_NS",
    "EXIT_GRACE_SECONDS",
    "FIRST_WAIT_MS",
    "IDLE_SECONDS",
    "LATE_NS",
    "LIMIT_LOOK_SECONDS",
    "LOADING_SECONDS",
    "LOOK_SECONDS",
    "LOST_ROUNDS",
    "PATIENCE_SECONDS",
    "PULL_SECONDS",
    "QUICK_NS",
    "ROUND_SECONDS",
    "SHORT_RUN_SECONDS",
    "SMALL_SHARE",
    "STARVED_ROUNDS",
    "START_PAUSE_SECONDS",
    "STOP_LOOK_SECONDS",
    "STOP_SECONDS",
    "THOROUGH_NS",
    "TURN_SECONDS",
    "WEIGHING_SECONDS",
    "WIND_DOWN_SECONDS",
]

# The run

# How long a lane may be idle while others have more tasks than they work on. Quick tasks are
# done by then, and what is still there waits behind a slow one.
PATIENCE_SECONDS = 0.002
# How long tasks that run may take to end when their run is given up; then they are killed.
WIND_DOWN_SECONDS = 0.1
# For how long an iterable is asked for more items in a row.
PULL_SECONDS = 0.001
# How long to wait after a worker could not be started.
START_PAUSE_SECONDS = 0.1
# The time-out of a wait that a doorbell ends.
IDLE_SECONDS = 3600.0

# What no descriptor signals

# How often to look for answers that workers have collected and not written.
LOOK_SECONDS = 0.01
# How often to look for workers that do nothing though they were sent tasks. One that was seen
# so in more rounds has lost what it was sent. If something is left for it to read, it may
# just be given no CPU time.
ROUND_SECONDS = 0.5
LOST_ROUNDS = 3
STARVED_ROUNDS = 40
# How often to look for deaths where there are no pidfds.
BLIND_SECONDS = 0.05
# A death that may have gone unseen for longer is reported as seen late.
LATE_NS = 20_000_000

# Runs that share a pool

# How long a run may keep its last lane while runs without any wait for one.
TURN_SECONDS = 0.1
# How long a run may keep its lanes while code of its caller's runs, before others may start
# lanes in their place.
AWAY_SECONDS = 0.5

# The end of workers

# How long a worker may take to exit by itself; then it is killed.
EXIT_GRACE_SECONDS = 0.5
# How long a process may take to stop after SIGSTOP, and how often to check.
STOP_SECONDS = 0.02
STOP_LOOK_SECONDS = 0.0005

# Limits

# How often memory is measured, unless that takes more than this share of the time.
LIMIT_LOOK_SECONDS = 0.05
WEIGHING_SECONDS = 0.1
SMALL_SHARE = 0.01
# To start and end a thread takes longer than many a run: a run that is over by then has none.
SHORT_RUN_SECONDS = 0.005
# How much longer than a callable may run it may take to unpickle it, with imports.
LOADING_SECONDS = 30.0

# Workers

# For how long answers are collected in the journal.
COLLECT_NS = 12_000_000
# After callables that took longer, more of the process state is looked at, and permits are
# taken one by one; and after these, all of it.
QUICK_NS = 20_000
THOROUGH_NS = 2_000_000
# The least time to wait for the first command.
FIRST_WAIT_MS = 1_000


def _check(condition: bool, coupling: str) -> None:
    if not condition:
        raise ValueError(f"time constants do not fit together: {coupling}")


_check(
    COLLECT_NS / 1e9 + 2 * LOOK_SECONDS <= 0.04,
    "an answer of a quick callable reaches the caller within 40 ms, as the README says",
)
_check(
    LOOK_SECONDS <= COLLECT_NS / 1e9 < 2 * LOOK_SECONDS,
    "what a busy worker has collected is found at the second look: it is complete by then",
)
_check(QUICK_NS < THOROUGH_NS < COLLECT_NS, "quick callables are collected")
_check(STOP_LOOK_SECONDS < STOP_SECONDS < LIMIT_LOOK_SECONDS, "a violation is handled in one look")
_check(
    STARVED_ROUNDS * ROUND_SECONDS >= 20,
    "a worker that is given no CPU time is not taken for one that was robbed",
)
_check(LOST_ROUNDS < STARVED_ROUNDS, "a worker with something left to read is given more time")
_check(PATIENCE_SECONDS <= LOOK_SECONDS, "an idle lane is noticed before the next look")
_check(TURN_SECONDS < AWAY_SECONDS, "a run that takes turns is not away")
