"""Combinations of flags that no name stands for can be globals, defaults and attributes."""

# expect: Ok([True, True, True, 3, 5])
# expect: Ok(True)
# expect: True True
from enum import Flag, IntFlag, auto

from enact_pool import Pool


class Access(Flag):
    READ = auto()
    WRITE = auto()
    EXECUTE = auto()


class Mode(IntFlag):
    A = 1
    B = 2
    C = 4


BOTH = Access.READ | Access.WRITE
NONE = Access(0)
MODES = {"ab": Mode.A | Mode.B, "ac": Mode.A | Mode.C}


class Holder:
    access = Access.WRITE | Access.EXECUTE


def checks(_, default=Access.READ | Access.EXECUTE):
    return [
        BOTH is Access.READ | Access.WRITE and Access.READ in BOTH and not NONE,
        Holder.access == Access.WRITE | Access.EXECUTE,
        default is Access.READ | Access.EXECUTE,
        int(MODES["ab"]),
        int(MODES["ac"]),
    ]


def is_both(access):
    return access is BOTH


def combine(_):
    return Access.WRITE | Access.EXECUTE, Mode.B | Mode.C


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([checks], 0)[0].output)
    print(pool.run_parallel([is_both], Access.WRITE | Access.READ)[0].output)
    access, mode = pool.run_parallel([combine], 0)[0].output.unwrap()
    print(access is Access.WRITE | Access.EXECUTE, mode == 6 and type(mode) is Mode)
