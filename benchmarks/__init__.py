"""The same works, done by enact_pool and by its peers, side by side in one run.

    __main__     options
       |
    measure      repeats each row, one contender after the other     -->  record
       |                                                                   |
    stand        one process for each contender, which times it      report, picture
       |
    contenders   how each library is asked to do a row
       |
    works        the rows: how many tasks, of which kind
       |
    tasks        what runs in the workers

`facts` times what can be done only once in a process: imports, first calls.
`bars` says how long enact_pool may take, and `table` how figures are shown.

Other programs, each `python -m benchmarks.` and its name:

    compare      two records of the above: did a row get worse by more than the noise?
    scaling      cost per callable by their number, and by that of lanes; memory
                 (growth measures it, beside limits; scaling_picture draws it)
    profile      on what the microseconds of a callable are spent
    executors    PoolExecutor beside others of its interface
    threads      native threads in workers, with and without the pool's limits
    watching     what limits of time and memory cost, and how late they are kept
    reliability  what becomes of the others when one callable does harm (hazards and
                 misdeeds are what it tries, each in a process of its own: trial,
                 which trial_process starts and ends;
                 askers is how each library is asked)
    chaos        no measurement: random work while workers are killed, each result
                 judged, and what is left of it all
"""
