"""Lanes: places in a pool where one worker process at a time runs. The caller's side."""
