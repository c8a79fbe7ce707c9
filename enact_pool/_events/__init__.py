"""Events: what is emitted of a run, to whom, and how it is written to files and read back."""
