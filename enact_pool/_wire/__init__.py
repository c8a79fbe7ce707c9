"""The bytes that a parent and its workers exchange: how they are made and read.

The parent and its workers use this package. It does not read, write or wait.
"""
