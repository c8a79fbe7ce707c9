"""Events of runs, emitters that receive them, and logs that store them."""

# Reading an event finds its class among those that were imported.
from enact_pool._events import events, live_events

__all__ = ["events", "live_events"]
