"""Python's own behaviour: callables and coroutines, exceptions, tracebacks, signal handlers.

Both sides use it. It imports `_system` only.
"""
