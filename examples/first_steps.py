"""Three callables on one input: one works, one raises, one crashes in native code."""

import ctypes

from enact_pool import Err, Ok, run_parallel

for result in run_parallel([lambda n: n + 1, lambda n: 1 // n, ctypes.string_at], 0):
    match result.output:
        case Ok(value):
            print("value:", value)
        case Err(message):
            print("error:", message)
