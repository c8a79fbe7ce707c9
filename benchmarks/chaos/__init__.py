"""A chaos run: random work on several threads, while everything around it is disturbed.

    __main__     options, the epochs, the summary
       |
    drivers      threads, each of which makes up a plan, does it and has it judged
       |
    plans        what is run, and how: chosen at random, from a seed
       |
    tasks        what runs in the workers, and notes each start in a log
       |
    verdicts     whether what came of a plan is what the contract says
       |
    faults       what was disturbed: who was killed or stopped, and when

`injector` kills and stops workers from outside, and takes the parent's
descriptors away. `snapshot` counts what there is when nobody does anything.
`soak` is another program, which counts before and after very many calls.

Linux only: workers are told apart by what /proc says, and killed by pidfd.
"""
