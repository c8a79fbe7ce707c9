"""The bytes that a caller and its workers exchange, and how they are made and read.

Both sides use it. Nothing in here reads, writes or waits.
"""
