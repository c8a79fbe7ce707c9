"""The command line: `enact-pool run` and `enact-pool timeline`. Needs `enact_pool[cli]`."""
