"""The caller's side of the mirror: what it has, how that is pickled, and what has changed.

A worker that starts workers of its own is a caller, too.
"""
