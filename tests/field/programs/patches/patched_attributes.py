"""Attributes that a patch adds or takes away are added and taken away in tasks."""

# expect: (False, 'class', 5)
# expect: (True, 'static', 7)
# expect: (False, 'class', 5)
from unittest import mock

from enact_pool import Pool


class Own:
    @classmethod
    def make(cls):
        return "class"

    @property
    def size(self):
        return 5


def ask(_):
    return hasattr(Own, "extra"), Own.make(), Own().size


def run():
    print(pool.run_parallel([ask], 0)[0].output.unwrap())


with Pool(1) as pool:
    run()
    with (
        mock.patch.object(Own, "extra", 1, create=True),
        mock.patch.object(Own, "make", staticmethod(lambda: "static")),
        mock.patch.object(Own, "size", property(lambda self: 7)),
    ):
        run()
    run()
