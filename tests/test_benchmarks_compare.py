"""The comparison of two records of the benchmarks, on made-up records."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.compare import LEAST_NOISE, Change, Incomparable, compared
from benchmarks.record import OURS, Cell, Fact, Record, Row, Verdict

NAMES = {"ours": OURS, "mp_pool": "mp.Pool"}


def row(name: str = "noops-1", description: str = "a work", **times_ms: list[float]) -> Row:
    """Return a row with a time for each repeat, by contender."""
    timed = Row(name, description, tasks=1)
    for contender, times in times_ms.items():
        cell = timed.cells[NAMES.get(contender, contender)] = Cell("timed")
        for milliseconds in times:
            cell.add(milliseconds, 0.0)
    return timed


def record(*rows: Row, quick: bool = False, workers: int = 2) -> Record:
    return Record("2026-01-01", quick, workers, 3, machine={}, contenders={}, rows=list(rows))


def change(old: Row, new: Row) -> Change:
    """Return the change of the only row."""
    (only,) = compared(record(old), record(new)).changes
    return only


def test_a_row_that_takes_longer_against_its_peer_got_worse() -> None:
    old, new = row(ours=[10.0], loky=[20.0]), row(ours=[12.0], loky=[20.0])
    assert compared(record(old), record(new)).worse == ["noops-1"]


def test_a_row_that_is_slower_together_with_its_peer_is_the_same() -> None:
    assert change(row(ours=[10.0], loky=[20.0]), row(ours=[30.0], loky=[60.0])).verdict == "same"


def test_a_row_that_takes_less_time_against_its_peer_got_better() -> None:
    assert change(row(ours=[10.0], loky=[20.0]), row(ours=[8.0], loky=[20.0])).verdict == "better"


@pytest.mark.parametrize(("share", "verdict"), [(0.99, "same"), (1.01, "worse")])
def test_a_change_within_the_least_noise_is_the_same(share: float, verdict: str) -> None:
    later = 10.0 * (1 + share * LEAST_NOISE)
    assert change(row(ours=[10.0]), row(ours=[later])).verdict == verdict


def test_the_noise_is_the_range_of_the_ratios_of_single_repeats_by_their_median() -> None:
    old = row(ours=[9.0, 10.0, 12.0], loky=[10.0, 10.0, 10.0])
    assert change(old, row(ours=[10.0] * 3, loky=[10.0] * 3)).noise == pytest.approx(0.3)


@pytest.mark.parametrize("noisy_first", [True, False])
def test_the_noisier_record_counts(noisy_first: bool) -> None:
    noisy, calm = row(ours=[8.0, 10.0, 12.0]), row(ours=[10.0, 10.0, 10.0])
    measured = change(noisy, calm) if noisy_first else change(calm, noisy)
    assert measured.noise == pytest.approx(0.4)


def test_repeats_in_which_both_were_slow_are_not_noise() -> None:
    steady = row(ours=[10.0, 20.0, 30.0], loky=[20.0, 40.0, 60.0])
    assert change(steady, steady).noise == LEAST_NOISE


def test_growth_within_a_large_spread_is_the_same() -> None:
    old, new = row(ours=[8.0, 10.0, 12.0]), row(ours=[13.0, 13.0, 13.0])
    assert change(old, new).verdict == "same"


def test_the_peer_of_the_target_is_the_reference() -> None:
    timed = row("noops-1", ours=[1.0], pebble=[1.0], mp_pool=[2.0])
    assert change(timed, timed).peer == "mp.Pool"


def test_without_the_targets_peer_the_fastest_of_the_old_record_is_the_reference() -> None:
    old = row("noops-1", ours=[1.0], pebble=[3.0], loky=[2.0])
    new = row("noops-1", ours=[1.0], pebble=[1.0], loky=[2.0])
    assert change(old, new).peer == "loky"


def test_if_the_target_is_the_best_peer_both_records_have_the_same_reference() -> None:
    old = row("skewed", ours=[3.0], pebble=[1.0], loky=[2.0])
    new = row("skewed", ours=[3.0], pebble=[2.0], loky=[1.0])
    measured = change(old, new)
    assert (measured.peer, measured.before, measured.after) == ("pebble", 3.0, 1.5)


def test_a_peer_that_was_not_timed_in_both_records_is_not_the_reference() -> None:
    old = row("noops-1", ours=[1.0], loky=[4.0], mp_pool=[2.0])
    assert change(old, row("noops-1", ours=[1.0], loky=[4.0])).peer == "loky"


def test_the_serial_loop_is_not_the_reference() -> None:
    timed = row("skewed", ours=[1.0], serial=[0.5], loky=[4.0])
    assert change(timed, timed).peer == "loky"


def test_without_any_peer_the_time_of_enact_pool_is_compared() -> None:
    measured = change(row(ours=[10.0], loky=[1.0]), row(ours=[12.0]))
    assert (measured.peer, measured.before, measured.after) == (None, 10.0, 12.0)
    assert measured.verdict == "worse"


@pytest.mark.parametrize("verdict", ["loses", "failed", "hangs"])
def test_a_row_that_lost_its_time_of_enact_pool_got_worse(verdict: Verdict) -> None:
    new = row(loky=[1.0])
    new.cells[OURS] = Cell(verdict)
    assert change(row(ours=[1.0], loky=[1.0]), new).verdict == "worse"


def test_rows_in_only_one_record_are_left_out_and_named() -> None:
    old = record(row("a", ours=[1.0]), row("b", ours=[1.0]))
    new = record(row("b", ours=[1.0]), row("c", ours=[1.0]))
    comparison = compared(old, new)
    assert [change.row for change in comparison.changes] == ["b"]
    assert comparison.left_out == {
        "a": "only in the old record",
        "c": "only in the new record",
    }


def test_a_row_with_another_workload_is_left_out() -> None:
    same = row("same", ours=[1.0])
    old, new = row(description="10 tasks", ours=[1.0]), row(description="20 tasks", ours=[2.0])
    comparison = compared(record(same, old), record(same, new))
    assert comparison.left_out == {"noops-1": "not the same work in both records"}


def test_a_row_that_was_not_timed_before_is_left_out() -> None:
    same = row("same", ours=[1.0])
    comparison = compared(record(same, row()), record(same, row(ours=[1.0])))
    assert comparison.left_out == {"noops-1": "not timed in the old record"}


def test_a_quick_run_and_a_full_one_cannot_be_compared() -> None:
    with pytest.raises(Incomparable, match="the new record is of a quick run, the old one of a"):
        compared(record(row(ours=[1.0])), record(row(ours=[1.0]), quick=True))


def test_runs_with_other_workers_cannot_be_compared() -> None:
    with pytest.raises(Incomparable, match="2 workers in the old record, 4 in the new one"):
        compared(record(row(ours=[1.0])), record(row(ours=[1.0]), workers=4))


def test_records_without_a_common_row_cannot_be_compared() -> None:
    with pytest.raises(Incomparable, match="no row in common"):
        compared(record(row("a", ours=[1.0])), record(row("b", ours=[1.0])))


def test_a_record_is_read_back_unchanged(tmp_path: Path) -> None:
    written = record(row(ours=[1.0, 2.0], loky=[3.0]))
    written.facts.append(Fact("import", "import it", [1.0], 1.0))
    written.write(tmp_path / "record.json")
    assert Record.read(tmp_path / "record.json") == written


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{}], "facts": []}'])
def test_a_file_that_is_not_a_record_raises(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="is not a record of the benchmarks"):
        Record.read(path)
