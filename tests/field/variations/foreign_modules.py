import importlib.util
import sys
import types
from pathlib import Path

from variation_checks import instance, own, same

Path("elsewhere/parts").mkdir(parents=True)


def load(name, path, text):
    """Load a module from a file that no import finds."""
    Path(path).write_text(text)
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


plain = load(
    "plain_plug",
    "elsewhere/plain_plug.py",
    """
import functools, enum, dataclasses
LIMIT = 3
@functools.cache
def cached(n): return n + LIMIT
class Letter(enum.Enum):
    A = 1
@dataclasses.dataclass
class Row:
    n: int
    def limited(self): return min(self.n, LIMIT)
class OwnError(Exception): pass
def fail(_): raise OwnError("own")
""",
)
user = load(
    "user_plug",
    "elsewhere/user_plug.py",
    """
import plain_plug
from plain_plug import Row
class Derived(Row):
    def twice(self): return 2 * super().limited()
def limited(n): return Row(n).limited(), plain_plug.cached(n)
""",
)
numbered = load("2024-01 report", "elsewhere/2024-01 report.py", "def title(_): return 'report'\n")
not_listed = load("not_listed", "elsewhere/not_listed.py", "def tell(_): return 'not listed'\n")
del sys.modules["not_listed"]

package = types.ModuleType("made_package")
package.__path__ = []
package.inner = types.ModuleType("made_package.inner")
sys.modules.update({"made_package": package, "made_package.inner": package.inner})
exec("def f(_): return 'made'\nclass Thing: pass", vars(package.inner))
anonymous = types.ModuleType("anonymous")
exec("def f(_): return 'anonymous'", vars(anonymous))

Row = plain.Row


def caught(_):
    try:
        plain.fail(0)
    except plain.OwnError as error:
        return str(error)


same(lambda _: plain.cached(4), lambda _: Row(9).limited(), lambda _: plain.Letter.A.name, caught)
same(lambda _: user.limited(5), lambda _: user.Derived(5).twice())
same(numbered.title, not_listed.tell, package.inner.f, anonymous.f)
same(lambda _: numbered.title(0), lambda _: package.inner.f(0), lambda _: anonymous.f(0))
instance(lambda _: Row(1), plain.Row)
instance(lambda _: user.Derived(1), user.Derived)
instance(lambda _: package.inner.Thing(), package.inner.Thing)
own(lambda _: plain.Letter.A, plain.Letter.A)
own(lambda _: user.limited, user.limited)
same(lambda _: plain.LIMIT, lambda _: Row)


def by_import(_):
    import made_package.inner
    import plain_plug

    return plain_plug.LIMIT, made_package.inner.f(0)


same(by_import)
