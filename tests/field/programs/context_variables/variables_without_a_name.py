"""A context variable has the caller's value, whatever refers to it: from the first run on."""

# expect: [9, 'b']
# expect: 3
# expect: set
# expect: {'request': 'r1'}
# expect: same variable: True
# expect: a value that cannot be made there: default
# expect: the default cannot be sent: True
import contextvars
import sys

from enact_pool import PoolExecutor, map_parallel

table = {name: contextvars.ContextVar(name, default=name) for name in "ab"}
table["a"].set(9)


class Holder:
    def __init__(self):
        self.variable = contextvars.ContextVar("variable", default=0)
        self.variable.set(3)


holder = Holder()


def with_closure():
    variable = contextvars.ContextVar("inner", default="unset")
    variable.set("set")
    return lambda _: variable.get()


def bind(**values):
    """Set variables that only the context knows, as libraries for logging do."""
    for name, value in values.items():
        contextvars.ContextVar("log_" + name).set(value)


def bound(_):
    context = contextvars.copy_context()
    return {each.name[4:]: context[each] for each in context if each.name.startswith("log_")}


class Fails:
    def __reduce__(self):
        return int, ("no number",)


failing = [contextvars.ContextVar("failing", default="default")]
failing[0].set(Fails())
frame = sys._getframe()
without_default = [contextvars.ContextVar("without_default", default=frame)]
without_default[0].set(1)
bind(request="r1")


def run(function):
    return map_parallel(function, [0], max_workers=1)[0].output


print(run(lambda _: [variable.get() for variable in table.values()]).unwrap())
print(run(lambda _: holder.variable.get()).unwrap())
print(run(with_closure()).unwrap())
print(run(bound).unwrap())
with PoolExecutor(1) as executor:
    print("same variable:", executor.submit(lambda: table["a"]).result() is table["a"])
print("a value that cannot be made there:", run(lambda _: failing[0].get()).unwrap())
outcome = run(lambda _: without_default[0].get())
print(
    "the default cannot be sent:",
    all(part in outcome.error for part in ("'without_default'", "'frame'")) or outcome,
)
