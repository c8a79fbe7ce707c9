import random

from variation_checks import equals

rng = random.Random()
generators = {"a": random.Random(), "b": [random.Random()]}


class Source:
    shared = random.Random()

    def __init__(self):
        self.own = random.Random()


SOURCE = Source()
drawn = set()


def fresh(*numbers):
    """Whether none of these has been drawn before."""
    new = not drawn.intersection(numbers)
    drawn.update(numbers)
    return new


def five(draw):
    return [draw() for _ in range(5)]


for _ in range(2):
    equals(lambda _: fresh(*five(rng.random)), True)
    equals(lambda _: fresh(*five(generators["a"].random), *five(generators["b"][0].random)), True)
    equals(lambda _: fresh(*five(Source.shared.random), *five(SOURCE.own.random)), True)
    equals(lambda _: fresh(*five(random.random)), True)
    rng.random()


def seeded(_):
    return random.Random(1).random() == random.Random(1).random()


def range_is_kept(_):
    return all(3 <= rng.randint(3, 5) <= 5 for _ in range(10))


equals(seeded, True)
equals(range_is_kept, True)
