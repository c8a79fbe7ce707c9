"""One run: tasks go out to lanes, and outcomes come back. The caller's side."""
