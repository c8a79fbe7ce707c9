"""Instances, tuples and other objects hold the very globals, also after these have changed."""

# expect: (True, [True, True, True, True, True, True, True, True], True, True, 0)
# expect: (True, [True, True, True, True, True, True, True, True], True, True, 1)
# expect: (True, [True, True, True, True, True, True, True, True], True, True, 2)
# ways: -c
import collections

from enact_pool import Pool

MISSING = object()


class Thing:
    n = 0


class Tree:
    def __init__(self, parent=None):
        self.parent, self.children = parent, []


thing = Thing()


class Config:
    inner = thing

    def __init__(self):
        self.default, self.thing = MISSING, thing


def closure(held):
    return lambda: held


def default(held=thing):
    return held


config = Config()
pair, several = (MISSING, thing), frozenset([MISSING])
queue = collections.deque([MISSING, thing])
ordered = collections.OrderedDict(a=MISSING)
plain, nested = [MISSING, thing], {"a": [MISSING, (thing,)]}
held = closure(thing)
root = Tree()
leaf = Tree(root)
root.children.append(leaf)


def same(_):
    missing = config.default, pair[0], queue[0], ordered["a"], plain[0], nested["a"][0]
    things = (
        *(config.thing, Config.inner, pair[1], queue[1], plain[1], nested["a"][1][0]),
        *(held(), default()),
    )
    return (
        all(each is MISSING for each in missing) and MISSING in several,
        [each is thing for each in things],
        {each.n for each in things} == {thing.n},
        leaf.parent is root,
        thing.n,
    )


with Pool(1) as pool:
    for _ in range(3):
        print(pool.run_parallel([same], 0)[0].output.unwrap())
        thing.n += 1
