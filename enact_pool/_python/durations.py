"""Texts of durations. A module of its own, since workers need the other texts, but not these."""

from __future__ import annotations

__all__ = ["duration_text"]


def duration_text(milliseconds: float) -> str:
    """Return a duration in a suitable unit: "12.3 ms", "1.2 s" or "2 min 5 s"."""
    if milliseconds < 999.5:
        return f"{milliseconds:.{2 if milliseconds < 1 else 3}g} ms"
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
