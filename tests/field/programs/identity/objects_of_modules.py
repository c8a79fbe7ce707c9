"""An object of an importable module is that module's own in a worker, with the caller's state."""

# expect: the same: True
# expect: what the module sees: (True, 9, 1, ['s'], 5, 1)
# expect: registered: (8, True)
# expect: what a task has added: (2, 1)
# expect: after a change: ('again', 7)
# expect: only here: {'x': 1}
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
Path("the_library.py").write_text(
    """
import contextvars
import threading

MISSING = object()
LOCK = threading.Lock()
LOCAL = threading.local()
VARIABLE = contextvars.ContextVar("VARIABLE", default=0)
REGISTRY = {}
LIST = []
SET = set()

class Settings:
    def __init__(self):
        self.debug = False
        self.me = self
        self.lock = LOCK
        self.registry = REGISTRY

class Unsendable:
    def __init__(self):
        self.generator = (n for n in range(3))
        self.n = 1

settings = Settings()
unsendable = Unsendable()

def seen():
    return (
        settings.debug, REGISTRY.get("key"), len(LIST), sorted(SET), VARIABLE.get(), unsendable.n
    )

def register(function):
    REGISTRY[function.__name__] = function
    return function
"""
)
import the_library  # noqa: E402 - it is written above
from the_library import (  # noqa: E402
    LIST,
    LOCAL,
    LOCK,
    MISSING,
    REGISTRY,
    SET,
    VARIABLE,
    register,
    settings,
    unsendable,
)

from enact_pool import Pool  # noqa: E402

settings.debug = True
LIST.append(1)
SET.add("s")
VARIABLE.set(5)
REGISTRY["key"] = 9
the_library.only_here = only_here = {"x": 1}


class Holder:
    missing = MISSING
    registry = REGISTRY

    def __init__(self):
        self.settings = settings


holder = Holder()


@register
def twice(n):
    return 2 * n


def the_same(_, default=MISSING):
    return (
        all(value is vars(the_library)[value_name] for value_name, value in named().items())
        and default is Holder.missing is MISSING
        and Holder.registry is settings.registry is REGISTRY
        and holder.settings is settings.me is settings
        and settings.lock is LOCK
    )


def named():
    return {
        "MISSING": MISSING,
        "LOCK": LOCK,
        "LOCAL": LOCAL,
        "VARIABLE": VARIABLE,
        "REGISTRY": REGISTRY,
        "LIST": LIST,
        "SET": SET,
        "settings": settings,
        "unsendable": unsendable,
    }


def add(_):
    REGISTRY["of a task"] = 1
    LIST.append(2)
    return len(the_library.LIST), the_library.REGISTRY["of a task"]


with Pool(1) as pool:

    def run(function):
        return pool.run_parallel([function], 0)[0].output.unwrap()

    print("the same:", run(the_same))
    print("what the module sees:", run(lambda _: the_library.seen()))
    print("registered:", run(lambda _: (REGISTRY["twice"](4), REGISTRY["twice"] is twice)))
    print("what a task has added:", run(add))
    settings.debug = "again"
    REGISTRY["key"] = 7
    print("after a change:", run(lambda _: (settings.debug, the_library.REGISTRY["key"])))
    print("only here:", run(lambda _: only_here))
