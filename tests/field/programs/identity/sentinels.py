"""What a function names is its own; what comes as an input is a copy, unless it has a name."""

# expect: object False
# expect: instance False
# expect: class True
# expect: member True
# expect: singleton True
# expect: default True
import enum

from enact_pool import Pool

MISSING = object()


class Unset:
    pass


class Nothing(enum.Enum):
    NOTHING = 0


class Single:
    only = None

    def __new__(cls):
        if cls.only is None:
            cls.only = super().__new__(cls)
        return cls.only


UNSET = Unset()
SINGLE = Single()


def is_missing(value):
    return value is MISSING


def is_unset(value):
    return value is UNSET


def is_class(value):
    return value is Unset


def is_member(value):
    return value is Nothing.NOTHING


def is_single(value):
    return value is SINGLE


def is_default(_, value=MISSING):
    return value is MISSING


# --- run ---
with Pool(1) as pool:
    for name, function, value in [
        ("object", is_missing, MISSING),
        ("instance", is_unset, UNSET),
        ("class", is_class, Unset),
        ("member", is_member, Nothing.NOTHING),
        ("singleton", is_single, SINGLE),
        ("default", is_default, 0),
    ]:
        print(name, pool.run_parallel([function], value)[0].output.unwrap())
