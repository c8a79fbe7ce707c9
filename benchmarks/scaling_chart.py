"""The scaling chart: cost by the number of callables, and occupation by the number of lanes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.record import OURS
from benchmarks.scaling_measurement import ScalingRecord

__all__ = ["draw"]

# Distinct to the colour-blind as well.
_COLOURS = {"run_parallel": "#D55E00", "iter_parallel": "#0072B2"}
_BUSY_COLOUR = "#009E73"
_CPU_COLOUR = "#AA4499"
_LIMIT_COLOUR = "#555555"


def draw(record: ScalingRecord, path: Path) -> None:
    """Draw both panels. Raises `ImportError` without matplotlib."""
    import matplotlib

    # Needs no display: continuous integration has none.
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained")
    _draw_costs(left, record)
    # The costs rarely span a power of ten.
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    left.yaxis.set_minor_formatter(NullFormatter())
    _draw_occupations(right, record)
    figure.supxlabel(
        f"{OURS}; {record.machine['cpu']}, {record.machine['usable_cores']} cores, {record.date}",
        fontsize=9,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_costs(axes: Any, record: ScalingRecord) -> None:
    for way, colour in _COLOURS.items():
        costs = [cost for cost in record.costs if cost.way == way]
        counts = [cost.callables for cost in costs]
        axes.plot(counts, [cost.us for cost in costs], "o-", color=colour, label=way)
    limits = record.lower_bounds
    for us, name, style in [
        (limits.round_trip_us, "one round trip through bare pipes", "--"),
        (limits.pickle_us, "one cloudpickle and load of a no-op", ":"),
    ]:
        axes.axhline(us, color=_LIMIT_COLOUR, linestyle=style, label=f"{name}: {us:.3g} us")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("callables in a run")
    axes.set_ylabel("wall time per no-op, us")
    axes.set_title(f"No-ops on {record.workers} workers", fontsize=11)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(fontsize=9)


def _draw_occupations(axes: Any, record: ScalingRecord) -> None:
    lanes = [occupation.lanes for occupation in record.occupations]
    busy = [100 * occupation.busy for occupation in record.occupations]
    cpu_us = [occupation.cpu_us for occupation in record.occupations]
    axes.plot(lanes, busy, "o-", color=_BUSY_COLOUR)
    axes.axhline(100, color=_LIMIT_COLOUR, linestyle="--", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_xticks(lanes, [str(number) for number in lanes])
    axes.set_ylim(0, 105)
    axes.set_xlabel("lanes")
    axes.set_ylabel("share of the time in which a lane sleeps, %", color=_BUSY_COLOUR)
    axes.set_title("Callables that sleep for 10 ms", fontsize=11)
    axes.grid(color="#dddddd", linewidth=0.6)
    other = axes.twinx()
    other.plot(lanes, cpu_us, "s-", color=_CPU_COLOUR)
    other.set_ylim(bottom=0)
    other.set_ylabel("CPU time of the parent per callable, us", color=_CPU_COLOUR)
