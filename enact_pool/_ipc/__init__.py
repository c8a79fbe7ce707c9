"""How a parent and its workers communicate, besides pipes: shared memory, and a Unix socket.

The parent and its workers use this package.
"""
