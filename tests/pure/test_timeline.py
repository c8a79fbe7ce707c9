"""Timelines of made-up runs: the trace, the page and the figures."""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from event_factories import BEGAN, callable_events, run_events
from hypothesis import given
from hypothesis import strategies as st

from enact_pool import (
    EventEmitter,
    ExecutionId,
    ExecutionStart,
    Span,
    StepEnd,
    StepId,
    StreamEvent,
    WorkerEnd,
    WorkerMemory,
    WorkerStart,
)
from enact_pool._model.results import Outcome
from enact_pool.timeline import chrome_trace, timeline_figures, timeline_html, write_timeline

RUN = ExecutionId.new()


def span(
    index: int,
    lane: int | None,
    start: float | None,
    end: float | None,
    outcome: Outcome | None = "ok",
    *,
    pid: int = 100,
    run_id: ExecutionId = RUN,
) -> Span:
    """Return the span of a callable that was queued at time 0; times are in milliseconds."""
    started, finished = (None if time is None else BEGAN + time for time in (start, end))
    worker = None if lane is None else pid + lane
    return Span(run_id, index, f"c{index}", lane, worker, BEGAN, started, finished, outcome)


def outcomes_of(*spans: Span) -> list[StreamEvent]:
    return [event for each in spans for event in callable_events(each, "boom")]


def slices(trace: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {event["name"]: event for event in trace["traceEvents"] if event["ph"] == "X"}


def test_figures_measure_speedup_idle_time_and_outcomes() -> None:
    events = [
        ExecutionStart(RUN, 5, 2, int(BEGAN)),
        *outcomes_of(
            span(0, 0, 100, 400),
            span(1, 1, 100, 200, "failed"),
            span(2, 1, 200, 300, "crashed"),
            span(3, 0, 400, 1000),
            span(4, None, None, None, "cancelled"),
        ),
        WorkerEnd(RUN, 1, 101, "was killed by SIGSEGV", int(BEGAN) + 300),
        WorkerStart(RUN, 1, 199, int(BEGAN) + 380),
    ]
    figures = timeline_figures(events)
    assert figures.wall_seconds == pytest.approx(1.0)
    assert figures.work_seconds == pytest.approx(1.1)
    assert figures.speedup == pytest.approx(1.1)
    assert figures.busy_shares == {"lane 0": pytest.approx(0.9), "lane 1": pytest.approx(0.2)}
    assert figures.longest == span(3, 0, 400, 1000)
    assert figures.longest_seconds == pytest.approx(0.6)
    assert figures.idle_tail_seconds == pytest.approx(0.7)
    assert figures.outcomes == {"ok": 2, "failed": 1, "crashed": 1, "cancelled": 1, "unfinished": 0}
    assert (figures.crashes, figures.respawns) == (1, 1)


def test_a_timeline_without_events_is_empty() -> None:
    figures = timeline_figures([])
    assert (figures.wall_seconds, figures.speedup, figures.longest) == (0.0, 0.0, None)
    assert chrome_trace([])["traceEvents"] == []
    assert "0 callables on 0 lanes" in timeline_html([])


def test_a_trace_contains_everything_of_a_run() -> None:
    events = [
        ExecutionStart(RUN, 2, 1, int(BEGAN)),
        *outcomes_of(span(0, 0, 10, 30, "crashed"), span(1, 0, 90, 95.5, pid=200)),
        WorkerMemory(RUN, 0, 100, 5_000_000, int(BEGAN) + 20),
        WorkerEnd(RUN, 0, 100, "was killed by SIGSEGV", int(BEGAN) + 31),
        WorkerStart(RUN, 0, 200, int(BEGAN) + 80),
    ]
    trace = chrome_trace(events)["traceEvents"]
    crashed, ok = (event for event in trace if event["ph"] == "X")
    assert (crashed["ts"], crashed["dur"], ok["ts"], ok["dur"]) == (10_000, 20_000, 90_000, 5500)
    assert (crashed["cat"], crashed["cname"]) == ("crashed", "terrible")
    assert crashed["args"].items() >= {
        "outcome": "crashed", "index": 0, "worker_pid": 100, "queue_time_ms": 10.0,
        "error": "boom", "traceback": "stack of c0", "run_id": RUN,
    }.items()  # fmt: skip
    assert [
        (event["name"], event["ts"], event["args"]) for event in trace if event["ph"] == "i"
    ] == [
        ("worker ended", 31_000, {"worker_pid": 100, "reason": "was killed by SIGSEGV"}),
        ("new worker", 80_000, {"worker_pid": 200}),
    ]
    assert [(event["ts"], event["args"]) for event in trace if event["ph"] == "C"] == [
        (0, {"callables": 2}),
        (10_000, {"callables": 1}),
        (90_000, {"callables": 0}),
        (20_000, {"bytes": 5_000_000}),
        (31_000, {"bytes": 0}),
    ]


def test_an_unfinished_callable_ends_with_its_worker_or_with_the_last_event() -> None:
    events = outcomes_of(span(0, 0, 10, None, None), span(1, 1, 10, None, None), span(2, 2, 10, 70))
    events.append(WorkerEnd(RUN, 1, 101, "was killed by SIGKILL", int(BEGAN) + 50))
    found = slices(chrome_trace(events))
    assert [found[name]["dur"] for name in ("c0", "c1", "c2")] == [60_000, 40_000, 60_000]
    assert [found[name]["cat"] for name in ("c0", "c1", "c2")] == ["unfinished", "unfinished", "ok"]


@pytest.mark.parametrize(
    ("began", "first_pid", "processes"),
    [
        (BEGAN + 100, 100, 1),  # the same workers: one pool
        (BEGAN + 100, 500, 2),  # other workers at the same time: another pool
        (BEGAN + 60_000, 500, 1),  # other workers, later: no additional rows
    ],
)
def test_lanes_of_pools_that_work_at_once_have_separate_rows(
    began: float, first_pid: int, processes: int
) -> None:
    runs = [run_events(30, 2), run_events(30, 2, began=began, first_pid=first_pid)]
    trace = chrome_trace([event for run in runs for event in run])["traceEvents"]
    assert len({event["pid"] for event in trace}) == processes
    assert sum(event["ph"] == "b" for event in trace) == 2
    assert sum(event["ph"] == "X" for event in trace) == 60
    threads = [event["args"] for event in trace if event["name"] == "thread_name"]
    assert threads == [{"name": "lane 0"}, {"name": "lane 1"}] * processes


def test_runs_that_share_workers_with_a_third_run_have_the_same_pool() -> None:
    one, other, third = ExecutionId.spell(1), ExecutionId.spell(2), ExecutionId.spell(3)
    spans = [
        span(0, 0, 0, 900, run_id=one),
        span(1, 1, 0, 900, run_id=other),
        span(2, 0, 950, 990, run_id=third),
        span(3, 1, 950, 990, run_id=third),
    ]
    for _ in range(2):
        spans.reverse()
        found = slices(chrome_trace(outcomes_of(*spans)))
        assert {each["pid"] for each in found.values()} == {1}
        assert {each["tid"] for each in found.values()} == {1, 2}


@st.composite
def odd_spans(draw: st.DrawFn) -> Span:
    times = st.floats(0, 1000, allow_subnormal=False)
    start, end = draw(times), draw(st.none() | times)
    ends: list[Outcome] = ["ok", "failed", "crashed"]
    outcome = None if end is None else draw(st.sampled_from(ends))
    lane, pid = draw(st.integers(0, 2)), draw(st.sampled_from([100, 200]))
    run_id = draw(st.sampled_from([RUN, ExecutionId.spell(7)]))
    return span(draw(st.integers(0, 30)), lane, start, end, outcome, pid=pid, run_id=run_id)


@given(st.lists(odd_spans(), max_size=12), st.randoms(use_true_random=False))
def test_slices_of_a_lane_never_overlap_whatever_the_spans(
    spans: list[Span], chance: random.Random
) -> None:
    """Readers drop a slice that begins before the previous slice of its thread ends."""
    events = outcomes_of(*spans)
    chance.shuffle(events)
    trace = chrome_trace(events)["traceEvents"]
    found = [event for event in trace if event["ph"] == "X"]
    assert len(found) == len({(each.run_id, each.index) for each in spans})
    reached: dict[tuple[int, int], float] = {}
    for event in found:
        thread = event["pid"], event["tid"]
        assert event["dur"] >= 0
        assert event["ts"] >= reached.get(thread, 0)
        reached[thread] = round(event["ts"] + event["dur"], 3)
    assert all(0 <= share <= 1 for share in timeline_figures(events).busy_shares.values())


def columns(page: str) -> Any:
    _, _, rest = page.partition('<script type="application/json" id="columns">')
    return json.loads(rest.partition("</script>")[0])


def test_names_and_errors_are_escaped_in_a_page() -> None:
    hostile = "</script><img src=x onerror=alert(1)>\ud800"
    each = Span(RUN, 0, hostile, 0, 1, BEGAN, BEGAN, BEGAN + 9, "failed", hostile)
    page = timeline_html(callable_events(each, hostile))
    assert hostile[:-1] not in page
    assert columns(page)["names"][1] == f"{hostile[:-1]}?"
    assert page.encode()


def test_the_texts_of_a_page_are_bounded() -> None:
    spans = [span(number, 0, number, number + 1, "failed") for number in range(20_000)]
    events = [
        event
        for each in spans
        for event in callable_events(each, f"{each.index} {'x' * 10_000} the end")
    ]
    page = timeline_html(events)
    texts = columns(page)["texts"]
    assert texts[1].startswith("0 xxx")
    assert texts[1].endswith("xxx the end")
    assert len(max(texts, key=len)) <= 400
    assert len(page) < 12_000_000


def without_spans() -> Iterable[StreamEvent]:
    return [StepEnd(ExecutionId.new(), StepId.new(), "1", 1.0)]


@pytest.mark.parametrize("events", [without_spans(), EventEmitter()], ids=["events", "emitter"])
@pytest.mark.parametrize("draw", [chrome_trace, timeline_html, timeline_figures])
def test_events_that_were_not_live_raise(draw: Any, events: Any) -> None:
    with pytest.raises(ValueError, match=r'EventEmitter\(mode="live"\)'):
        draw(events)


@pytest.mark.parametrize("draw", [chrome_trace, timeline_html, timeline_figures])
def test_what_is_no_event_raises(draw: Any) -> None:
    with pytest.raises(TypeError, match="events must be stream events, not int"):
        draw([1, 2])


def test_the_ending_of_a_path_selects_the_kind_of_file(tmp_path: Path) -> None:
    events = EventEmitter(mode="live")
    for name in ("a.json", "a.json.gz", "a.HTML"):
        for event in run_events(5, 2):
            events.emit(event)
        write_timeline(events, tmp_path / name)
    plain, packed = (tmp_path / "a.json").read_bytes(), (tmp_path / "a.json.gz").read_bytes()
    assert len(slices(json.loads(plain))) == len(slices(json.loads(gzip.decompress(packed)))) == 5
    assert "5 callables on 2 lanes" in (tmp_path / "a.HTML").read_text("utf-8")
    assert not events.drain()
    with pytest.raises(ValueError, match=r"not 'a\.png'"):
        write_timeline(run_events(5, 2), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_page_without_plotly_is_refused_with_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.io", None)
    with pytest.raises(ImportError, match=r"pip install 'enact_pool\[timeline\]'"):
        timeline_html(run_events(5, 2))
