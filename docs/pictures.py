"""Makes the pictures of the documentation anew, each from a real run: `make pictures`.

They need a Chromium, and the extra `test`. Name some to make only these:
`python docs/pictures.py timeline`.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import html
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

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
        with browser_page(1280, 860) as page:
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


PROGRAM = """
import sys

sys.path.insert(0, "docs")
from pictures import Render

from enact_pool import Pool, summarize

tasks = [Render(number, 40 + number * 37 % 160) for number in range(140)]
with Pool(4) as pool:
    print(summarize(pool.run_parallel(tasks, b"a page", progress=True)))
"""

TERMINAL = """
<style>
  body { margin: 24px; background: #ffffff; display: inline-block; }
  pre { margin: 0; padding: 16px 20px; background: #1f2430; color: #e6e6e6; border-radius: 8px;
        font: 15px/1.45 "DejaVu Sans Mono", monospace; }
  b { color: #7fd1ae; font-weight: normal; }
</style>
<pre>"""


def progress(path: Path) -> None:
    """A terminal in which a bar was shown: as it was half way, and what the program said."""
    printed = on_a_terminal([sys.executable, "-c", PROGRAM], columns=100)
    # As if all of it stood in one file.
    printed = printed.replace(__file__, "render.py")
    *frames, rest = printed.split("\r")
    half_way = next(frame for frame in frames if re.match(r" *5\d%", frame))
    last = next(frame for frame in reversed(frames) if "100%" in frame)
    said = rest.partition("\n")[2] if "%" in rest else rest
    prompt = "<b>$</b> python render.py"
    text = html.escape(f"{half_way.rstrip()}\n\n  ...\n\n{last.rstrip()}\n{said.strip()}")
    with browser_page(1100, 400) as page:
        page.set_content(f"{TERMINAL}{prompt}\n{text}</pre>")
        page.locator("body").screenshot(path=path)


def on_a_terminal(command: list[str], columns: int) -> str:
    """What a program prints to a terminal that is so wide."""
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with subprocess.Popen(
        command, cwd=FOLDER.parent, stdin=its_end, stdout=its_end, stderr=its_end
    ):
        os.close(its_end)
        printed = b""
        try:
            while chunk := os.read(terminal, 1 << 16):
                printed += chunk
        except OSError as error:
            if error.errno != errno.EIO:  # nobody has the terminal any more
                raise
    os.close(terminal)
    return printed.decode().replace("\r\n", "\n")


@contextmanager
def browser_page(width: int, height: int) -> Iterator[Page]:
    """A page of a browser, so large."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=next(filter(None, map(shutil.which, BROWSERS)), None),
            args=["--no-sandbox", "--disable-gpu"],
        )
        yield browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=2)
        browser.close()


PICTURES: dict[str, Callable[[Path], None]] = {"timeline": timeline, "progress": progress}


def main(names: list[str]) -> None:
    for name in names or PICTURES:
        PICTURES[name](FOLDER / f"{name}.png")
        print(f"docs/{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
