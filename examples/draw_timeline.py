"""Draw what ran where and when: a page for any browser, and a trace for ui.perfetto.dev.

Needs `pip install 'enact_pool[timeline]'`.
"""

import hashlib
import signal

from enact_pool import EventEmitter, map_parallel
from enact_pool.timeline import timeline_figures, write_timeline


def stretched(rounds: int) -> str:
    """A key from a password, made slow on purpose; some numbers of rounds go wrong."""
    if rounds % 70_000 == 0:
        signal.raise_signal(signal.SIGSEGV)
    return hashlib.pbkdf2_hmac("sha256", b"password", b"salt", rounds).hex()


def main() -> None:
    live = EventEmitter(mode="live")
    map_parallel(stretched, range(10_000, 200_001, 10_000), emitter=live)
    events = live.drain()
    write_timeline(events, "timeline.html")
    write_timeline(events, "timeline.json")
    figures = timeline_figures(events)
    print(f"{figures.wall_seconds:.1f} s, {figures.speedup:.1f} times as fast as one by one")
    print(f"{figures.crashes} crashes; the lanes were busy for", dict(figures.busy_shares))
    print("open timeline.html in a browser")


# Workers do not import this file: the guard is for readers and importers only.
if __name__ == "__main__":
    main()
