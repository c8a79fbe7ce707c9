"""What runs inside a worker process: it reads batches, runs callables, and writes answers.

It imports little, since every start of a worker waits for these imports.
"""
