"""The operating system: descriptors, mapped memory, processes and their memory, waiting.

Both sides use it. It imports nothing of this package.
"""
