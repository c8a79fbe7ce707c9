"""Follow a run live from another thread: iterate an `EventEmitter`, and close it at the end."""

import ctypes
import hashlib
from threading import Thread

from enact_pool import EventEmitter, StepEnd, run_parallel


def stretched(rounds: int) -> str:
    """A key from a password, made slow on purpose."""
    return hashlib.pbkdf2_hmac("sha256", b"password", b"salt", rounds).hex()


def follow(events: EventEmitter) -> None:
    """Print each event as it comes, until the emitter is closed."""
    for event in events:
        if isinstance(event, StepEnd):
            print(f"after {event.duration_ms:.0f} ms: {event.output}", flush=True)
        else:
            print(event.to_dict()["error"]["message"], flush=True)


def main() -> None:
    events = EventEmitter()
    follower = Thread(target=follow, args=(events,))
    follower.start()
    try:
        run_parallel([stretched, lambda _: ctypes.string_at(0), stretched], 500_000, events)
    finally:
        # Without this the follower would wait for more, and the program for it.
        events.close()
        follower.join()


# Workers do not import this file: the guard is for readers and importers only.
if __name__ == "__main__":
    main()
