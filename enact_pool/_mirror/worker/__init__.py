"""The worker's side of the mirror: copies of the caller's definitions and of its process state."""
