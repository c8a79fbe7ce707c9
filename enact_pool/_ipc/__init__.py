"""What a caller and its workers communicate through: shared memory, and a socket for descriptors.

Both sides use it.
"""
