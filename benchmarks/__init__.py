"""Benchmarks: the same workloads, run by enact_pool and by its peers, side by side.

    __main__                options
       |
    measurement             repeats each row, one contender after the other   -->  record
       |                                                                            |
    timing_process          one process per contender, which times its runs   report, chart
       |  (timing_process_client: the other end, which starts and stops it)
    contenders              how each library runs a workload
       |
    workloads               the rows: how many tasks, of which kind
       |
    timed_callables         what runs in the workers

`startup_times` times what happens once per process: imports and first calls.
`targets` says how long enact_pool may take, and `table` how figures are shown.

Other programs, each `python -m benchmarks.` and its name:

    compare         two records of the above: did a row get worse by more than the noise?
    scaling         cost per callable by the number of callables and of lanes; memory
                    (measured by scaling_measurement beside lower_bounds; see scaling_chart)
    profile         where the microseconds of a callable are spent
    executors       PoolExecutor beside other executors
    sklearn_fits    scikit-learn and joblib on enact_pool, beside joblib's loky
    native_threads  native threads in workers, with and without the pool's limits
    limit_cost      what limits of time and memory cost, and how late they are enforced
    reliability     what one harmful callable costs the other callables, for each library:
                    each hazard of `tests.hazards` runs in a process of its own
                    (hazard_process, started and judged by hazard_run; outcome_contenders
                    is how each library runs it)
    chaos           not a measurement: random work while workers are killed; every result
                    is checked, and that nothing is left
"""
