"""Events: what is emitted of a run, to whom, and how it is written to files and read back."""

# Reading an event finds its kind among those that were imported.
from enact_pool._events import events, live_events

__all__ = ["events", "live_events"]
