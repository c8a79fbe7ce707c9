"""What a callable can do to its worker, and the outcome that enact_pool promises for it.

`catalogue` lists all hazards, group by group; the modules `*_hazards` define the groups, and
`*_callables` the harmful callables themselves. The tests check every detail of enact_pool's
results, and `benchmarks.reliability` runs the same hazards with other libraries.
"""
