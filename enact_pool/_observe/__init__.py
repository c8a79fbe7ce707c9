"""The observers of a run: events, progress, output and logs. The engine knows only their hooks."""
