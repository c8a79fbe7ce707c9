"""`python -m benchmarks.profile`: where the microseconds of a callable are spent.

For the parent and a worker, for many no-ops and for one: the functions with the most
time of their own, in microseconds per callable. The profiler adds time to each call,
so quick functions that are called often seem slower than they are; the last line of a
table says by how much in all.
"""

from __future__ import annotations

import argparse
import re
import time
from cProfile import Profile
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks import timed_callables as timed
from benchmarks.table import Table, figures, spaced
from enact_pool import EventEmitter, Pool

_TOP = 10
_TOP_MODULES = 6
_BUILT_IN = "built in"

# The functions of an idle process: before it sleeps, it polls the clock.
_WAITING = frozenset(
    {
        "enact_pool._system.spin_poll.poll",
        "posix.sched_yield",
        "select.poll.poll",
        "time.perf_counter_ns",
        "time.sleep",
    }
)

# (file, line, function): the calls, and the function's own seconds.
_Stats = dict[tuple[str, int, str], tuple[Any, ...]]


@frozen
class _Load:
    """`runs` runs of `callables` no-ops each."""

    callables: int
    runs: int

    @property
    def title(self) -> str:
        return f"{spaced(self.callables)} no-op{'s' if self.callables > 1 else ''}"

    def run(self, pool: Pool) -> float:
        """Run all; return the wall time per callable, in microseconds."""
        emitter = EventEmitter()
        callables = [timed.noop] * self.callables
        begun_at = time.perf_counter()
        for _ in range(self.runs):
            pool.run_parallel(callables, None, emitter)
            list(emitter.drain())  # creates the events
        return self.us_each(time.perf_counter() - begun_at)

    def us_each(self, seconds: float) -> float:
        """Convert the seconds of all runs to microseconds per callable."""
        return seconds * 1e6 / (self.callables * self.runs)


def _parent(load: _Load, workers: int) -> Table:
    with Pool(workers) as pool:
        load.run(pool)
        usual_us = load.run(pool)
        profile = Profile()
        profile.enable()
        profiled_us = load.run(pool)
        profile.create_stats()
    return _table(f"Parent, {load.title}", load, profile.stats, usual_us, profiled_us)


def _worker(load: _Load) -> Table:
    # With a single worker, all commands reach the worker that is profiled.
    with Pool(1) as pool:
        load.run(pool)
        usual_us = load.run(pool)
        _only(pool, timed.begin_profile)
        profiled_us = load.run(pool)
        stats = _only(pool, timed.end_profile)
    return _table(f"Worker, {load.title}", load, stats, usual_us, profiled_us)


def _only(pool: Pool, task: Any) -> Any:
    return pool.run_parallel([task], None)[0].output.unwrap()


def _table(title: str, load: _Load, stats: _Stats, usual_us: float, profiled_us: float) -> Table:
    spent: dict[str, float] = {}
    modules: dict[str, float] = {}
    waited = 0.0
    for (file, _, function), figure in stats.items():
        module, name = _placed(file, function)
        us = load.us_each(figure[2])
        if name in _WAITING:
            waited += us
        else:
            spent[name] = spent.get(name, 0.0) + us
            modules[module] = modules.get(module, 0.0) + us
    total = sum(spent.values())
    lines = [[name, figures(us), f"{us / total:.0%}"] for name, us in _largest(spent, _TOP)]
    shares = [f"{name} {us / total:.0%}" for name, us in _largest(modules, _TOP_MODULES)]
    remark = (
        f"By module: {', '.join(shares)}.\n"
        f"{figures(total)} us per callable in all, and {figures(waited)} us of waiting; "
        f"wall time {figures(profiled_us)} us, without the profiler {figures(usual_us)} us."
    )
    return Table(title, ["function", "us per callable", "share"], lines, remark)


def _largest(times: dict[str, float], count: int) -> list[tuple[str, float]]:
    return sorted(times.items(), key=lambda item: item[1], reverse=True)[:count]


def _placed(file: str, function: str) -> tuple[str, str]:
    """Return the module of a function, as far as that is known, and its qualified name."""
    if file == "~":
        # "<built-in method posix.read>", "<method 'pop' of 'dict' objects>"
        method = re.fullmatch(r"<method '(\w+)' of '([\w.]+)' objects>", function)
        if method:
            return _BUILT_IN, f"{method[2]}.{method[1]}"
        return _BUILT_IN, re.sub(r"<(built-in method|function) (.*?)( at 0x\w+)?>", r"\2", function)
    generated = re.fullmatch(r"<attrs generated \w+ (.*)\.(\w+)>", file)
    if generated:
        return generated[1], f"{generated[1]}.{generated[2]}.{function}"
    path = Path(file)
    module = f"{path.parent.name}.{path.stem}"
    return module, f"{module}.{function}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="of the profiled parent")
    parser.add_argument("--quick", action="store_true", help="small sizes, as a quick check")
    options = parser.parse_args()
    if options.workers < 1:
        parser.error("--workers must be at least 1")
    return options


def main() -> None:
    """Run the command line."""
    options = _options()
    many, one = (
        (_Load(1_000, 2), _Load(1, 50)) if options.quick else (_Load(10_000, 5), _Load(1, 1_000))
    )
    for load in (many, one):
        print(_parent(load, options.workers).as_text(), end="\n\n")
        print(_worker(load).as_text(), end="\n\n")


if __name__ == "__main__":
    main()
