"""The operating system: descriptors, mapped memory, processes and their memory, waiting.

The parent and its workers use this package. It imports nothing else of the library.
"""
