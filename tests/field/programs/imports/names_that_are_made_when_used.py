"""A class of a module that makes its names when they are used is imported, not sent by value."""

# expect: [Ok('Shape'), Ok('Shape')]
# expect: [Ok((True, 'Ok(1)')), Ok((True, 'Ok(2)'))]
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
Path("shapes_package").mkdir(exist_ok=True)
Path("shapes_package/__init__.py").write_text(
    "def __getattr__(name):\n"
    "    if name == 'Shape':\n"
    "        from shapes_package.shape import Shape\n"
    "        return Shape\n"
    "    raise AttributeError(name)\n"
)
Path("shapes_package/shape.py").write_text(
    "class Base:\n"
    "    def name(self):\n"
    "        return type(self).__name__\n"
    "class Shape(Base):\n"
    "    def name(self):\n"
    "        return super().name()\n"
    "Shape.__module__ = 'shapes_package'\n"
)

from enact_pool import map_parallel  # noqa: E402


def name_of(shape):
    return shape.name()


def inspect_result(result):
    import enact_pool

    return isinstance(result, enact_pool.ParallelResult), repr(result.output)


# --- run ---
from shapes_package.shape import Shape  # noqa: E402

print([result.output for result in map_parallel(name_of, [Shape(), Shape()])])
# The classes of results are used by their names for the first time in the worker.
results = map_parallel(abs, [1, -2])
print([result.output for result in map_parallel(inspect_result, results)])
