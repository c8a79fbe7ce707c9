"""The main module of a process that a callable has started: see `children`."""

from enact_pool.mirror.children import inherited

globals().update(inherited())
