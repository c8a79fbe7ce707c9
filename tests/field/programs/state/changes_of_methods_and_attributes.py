"""What is changed of a class or a method is changed in workers, also what cannot be sent."""

# expect: [((1, None, 2), 'old'), ((8, 't', 101), 'AttributeError'), ((8, 't', 102), 'new')]
# expect: (8, 't', 101)
import os

from enact_pool import Pool


def counted(function):
    def wrapper(*arguments):
        wrapper.calls += 1
        return wrapper.calls

    wrapper.calls = 1
    return wrapper


class Scale:
    target = "old"

    def scale(self, by=1):
        return by

    @counted
    def go(self):
        pass


def methods(_):
    return Scale().scale(), getattr(Scale.scale, "tag", None), Scale().go()


def target(_):
    return Scale.target


def seen(pool):
    first, second = pool.run_parallel([methods, target], 0)
    return first.output.unwrap(), second.output.value if second.output.is_ok else second.output.type


with Pool(1) as pool:
    found = [seen(pool)]
    Scale.scale.__defaults__, Scale.scale.tag, Scale.go.calls = (8,), "t", 100
    with open(os.devnull) as Scale.target:
        found.append(seen(pool))
    Scale.target = "new"
    found.append(seen(pool))
    print(found)
with Pool(1) as pool:
    print(pool.run_parallel([methods], 0)[0].output.unwrap())
