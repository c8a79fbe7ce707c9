"""A chaos run: random work on several threads, while faults are injected all around it.

    __main__        options, the epochs, the summary
       |
    drivers         threads; each makes a plan, runs it and has the results checked
       |
    plans           what is run, and how: chosen at random, from a seed
       |
    tasks           what runs in the workers, and logs each start in a file
       |
    run_checks      whether the results of a plan are what the contract says
    result_checks   the same for a single result
       |
    fault_log       which workers were killed or stopped, and when

`fault_injector` kills and stops workers from outside, and uses up the parent's
descriptors. `process_snapshot` counts resources while nothing runs. `soak` is
another program, which counts before and after very many calls.

Linux only: workers are identified by /proc, and killed by pidfd.
"""
