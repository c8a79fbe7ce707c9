"""Python's own behaviour: callables, exceptions, tracebacks, texts of values, signal handlers.

The parent and its workers use this package. It imports `_system` only.
"""
