"""What watches a run: live events, progress, forwarded logs. The engine does not know it."""
