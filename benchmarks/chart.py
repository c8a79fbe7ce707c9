"""The chart: for each row, how long every contender took, in units of enact_pool's time."""

from __future__ import annotations

from pathlib import Path

from benchmarks.record import OURS, Record, Row

__all__ = ["draw"]

# Okabe and Ito's palette: distinct to the colour-blind as well.
_COLOURS = {
    "mp.Pool": "#E69F00",
    "stdlib": "#56B4E9",
    "loky": "#009E73",
    "joblib": "#F0E442",
    "mpire": "#0072B2",
    "pebble": "#CC79A7",
}
_INCH_PER_BAR = 0.2


def draw(record: Record, path: Path) -> None:
    """Draw the ratios as bars, on a log scale. Raises `ImportError` without matplotlib."""
    import matplotlib

    # Needs no display: continuous integration has none.
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter

    rows = [row for row in record.rows if row.cells[OURS].median_ms is not None]
    peers = [name for name in _COLOURS if name in record.contenders]
    slots = (len(peers) + 1) * len(rows)
    figure, axes = pyplot.subplots(figsize=(11, 2 + _INCH_PER_BAR * slots), layout="constrained")
    axes.set_xscale("log")
    for number, row in enumerate(rows):
        for place, peer in enumerate(peers):
            height = number * (len(peers) + 1) + place
            ratio = row.ratio(peer, OURS)
            if ratio is None:
                axes.text(
                    1.04,
                    height,
                    f"{peer}: {_reason(row, peer)}",
                    va="center",
                    fontsize=8,
                    style="italic",
                    color="#555555",
                )
                continue
            axes.barh(
                height,
                ratio - 1,
                left=1,
                height=0.9,
                color=_COLOURS[peer],
                edgecolor="#333333",
                linewidth=0.4,
            )
            side = "left" if ratio >= 1 else "right"
            axes.annotate(
                f"{ratio:.3g}",
                (ratio, height),
                xytext=(3 if ratio >= 1 else -3, 0),
                textcoords="offset points",
                va="center",
                ha=side,
                fontsize=8,
            )
    middles = [number * (len(peers) + 1) + (len(peers) - 1) / 2 for number in range(len(rows))]
    axes.set_yticks(middles, [_wrapped(row.description) for row in rows], fontsize=10)
    axes.set_ylim(slots - 0.5, -1.2)
    axes.axvline(1, color="black", linewidth=1.2)
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="x", color="#cccccc", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(
        f"time taken / enact_pool's time (log scale; right of 1: slower than enact_pool)\n"
        f"{record.machine['cpu']}, {record.workers} workers, medians of {record.repeats}, "
        f"{record.date}",
        fontsize=10,
    )
    legend = [Patch(facecolor=_COLOURS[peer], edgecolor="#333333", label=peer) for peer in peers]
    figure.legend(handles=legend, loc="outside upper center", ncols=len(peers), fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _reason(row: Row, peer: str) -> str:
    cell = row.cells[peer]
    return "loses answers" if cell.verdict == "loses" else cell.verdict


def _wrapped(description: str) -> str:
    return description.replace(" (", "\n(").replace(", ", ",\n", 1)
