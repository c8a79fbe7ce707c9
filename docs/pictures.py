"""Makes the pictures of the documentation anew, each from a real run: `make pictures`.

They need a Chromium, and the extra `test`. Name some to make only these:
`python docs/pictures.py timeline`.
"""

from __future__ import annotations

import hashlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import sync_playwright

from enact_pool import EventEmitter, Pool
from enact_pool.timeline import write_timeline

FOLDER = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Render:
    """A task as the pictures show them: keeps a CPU busy, and now and then goes wrong."""

    def __init__(self, number: int, thousands: int) -> None:
        self.name = f"render_page_{number}"
        self._number = number
        self._thousands = thousands

    def run(self, text: bytes) -> int:
        hashlib.pbkdf2_hmac("sha256", text, b"salt", self._thousands * 1000)
        if self._number % 17 == 11:
            raise ValueError(f"page {self._number} has a font that nobody has")
        if self._number in (19, 41):
            signal.raise_signal(signal.SIGSEGV)
        # A worker keeps some of what it has laid out.
        _layouts.append(b"x" * (self._thousands << 16))
        return self._number


_layouts: list[bytes] = []


def timeline(path: Path) -> None:
    """The page of a run in which some callables raise, and two crash."""
    events = EventEmitter(mode="live")
    tasks = [Render(number, 40 + number * 37 % 160) for number in range(56)]
    with Pool(4) as pool:
        # Started and warm: a picture of the work, not of the start.
        pool.run_parallel([hashlib.sha256] * 4, b"")
        pool.run_parallel(tasks, b"a page", events)
    with tempfile.TemporaryDirectory() as folder:
        page_path = Path(folder) / "timeline.html"
        write_timeline(events, page_path)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=next(filter(None, map(shutil.which, BROWSERS)), None),
                args=["--no-sandbox", "--disable-gpu"],
            )
            page = browser.new_page(viewport={"width": 1280, "height": 860}, device_scale_factor=2)
            page.goto(page_path.as_uri())
            page.wait_for_selector("[data-drawn]", state="attached")
            # With what is kept of a callable that crashed, when it was clicked on.
            page.locator(".trace.bars").nth(2).locator(".point path").first.hover(force=True)
            page.mouse.down()
            page.mouse.up()
            page.locator("#kept").wait_for()
            page.mouse.move(0, 0)
            page.locator(".hovertext").wait_for(state="detached")
            page.screenshot(path=path)
            browser.close()


PICTURES: dict[str, Callable[[Path], None]] = {"timeline": timeline}


def main(names: list[str]) -> None:
    for name in names or PICTURES:
        PICTURES[name](FOLDER / f"{name}.png")
        print(f"docs/{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
