from collections import Counter, OrderedDict, defaultdict, deque

from variation_checks import equals, same

numbers = [1, 2]
config = {"a": {"b": 1}}
alias = numbers
text = "text"
groups = defaultdict(list)
counter = Counter()
queue = deque(maxlen=2)
ordered = OrderedDict(a=1)
data = bytearray(b"ab")
nothing = None


class Config:
    level = 1
    names = ["a"]
    shared = numbers


class Derived(Config):
    pass


def default(x=None, kept=numbers):
    return list(kept)


def closure():
    count = 0

    def inner(_):
        nonlocal count
        count += 1
        return count

    return inner


counting = closure()


def everything(_):
    return [
        *(list(numbers), config["a"]["b"], text, dict(groups), dict(counter), list(queue)),
        *(dict(ordered), bytes(data), nothing, Config.level, Config.names, Derived.level),
        *(Config.shared is numbers, alias is numbers, default()),
    ]


same(everything)

# What the caller changes is seen, by whatever name, whether it is set or changed in place.
numbers.append(3)
same(everything)
config["a"]["b"] = 7
text = "another"
same(everything)
groups["x"].append(1)
counter["y"] += 2
queue.extend([1, 2, 3])
ordered.move_to_end("a")
ordered["b"] = 2
data += b"c"
nothing = 0
same(everything)
Config.level = 2
Config.names.append("b")
same(everything)
Derived.level = 3
same(everything)
del Derived.level
numbers = [9]
same(everything)
default.__defaults__ = (None, [5])
same(everything)
same(lambda _: default.__defaults__)
del numbers[:]
same(everything)


# What the worker changes stays there, until the caller changes the same thing.
def count(_):
    counter["z"] += 1
    return counter["z"]


def level(_):
    Config.level += 100
    return Config.level


equals(count, 1)
equals(count, 2)
equals(level, 102)
equals(level, 202)
equals(lambda _: Derived.level, 202)
equals(lambda _: counting(0), 1)
equals(lambda _: counting(0), 2)
counter = Counter(other=1)
equals(count, 1)
Config.level = 0
equals(level, 100)


def define(_):
    global defined
    defined = "by the worker"
    return defined


equals(define, "by the worker")
equals(lambda _: defined, "by the worker")
defined = "by the caller"
equals(lambda _: defined, "by the caller")


def fill(_):
    everything.note = [*getattr(everything, "note", []), "worker"]
    return everything.note


equals(fill, ["worker"])
equals(fill, ["worker", "worker"])
everything.note = ["caller"]
equals(fill, ["caller", "worker"])
del everything.note
equals(fill, ["worker"])
