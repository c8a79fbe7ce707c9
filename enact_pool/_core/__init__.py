"""The decisions: which task goes to which lane, and what becomes of it.

Nothing in here does any I/O, or knows a clock, a thread or a pickle.
"""
