"""The main module of a process that a callable has started: see `children`."""

from enact_pool._mirror.worker.children import inherited

globals().update(inherited())
