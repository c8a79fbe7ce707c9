import decimal
import os
import sys
import warnings
from pathlib import Path

from variation_checks import same

same(lambda _: os.getcwd())
Path("sub/deep").mkdir(parents=True)
os.chdir("sub")
same(lambda _: os.getcwd())
os.chdir(Path("deep"))
same(lambda _: (os.getcwd(), os.listdir("..")))
os.chdir(b"../..")
same(lambda _: os.getcwd())

name = "VARIATION_OF_THIS"
os.environ[name] = "1"
same(lambda _: os.environ.get(name))
os.environ[name] = "ü = 2\n"
same(lambda _: (os.environ[name], os.environb[name.encode()]))
os.environ[name] = ""
same(lambda _: os.environ.get(name))
os.environ.pop(name)
same(lambda _: (os.environ.get(name), name in os.environ))
os.environ |= {"VARIATION_A": "a", "VARIATION_B": "b"}
same(lambda _: sorted(key for key in os.environ if key.startswith("VARIATION_")))

for number, entry in enumerate(["sub", "sub/deep"]):
    Path(entry, f"late_{number}.py").write_text(f"VALUE = {number}\n")
    sys.path.append(str(Path(entry).resolve()))


def late(_):
    import late_0
    import late_1

    return late_0.VALUE, late_1.VALUE


same(late)
same(lambda _: [entry for entry in sys.path if "sub" in entry])
sys.path.remove(str(Path("sub").resolve()))
same(lambda _: [entry for entry in sys.path if "sub" in entry])

sys.setrecursionlimit(2500)
same(lambda _: sys.getrecursionlimit())
decimal.getcontext().rounding = decimal.ROUND_UP
decimal.getcontext().prec = 5
same(lambda _: (str(decimal.Decimal(2) / 3), decimal.getcontext().rounding))
warnings.simplefilter("error", DeprecationWarning)


def warned(_):
    try:
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    except DeprecationWarning as warning:
        return str(warning)
    return "not an error"


same(warned)


# What a task changes is put back for the next one.
def changes(_):
    os.chdir("/")
    os.environ[name] = "changed"
    sys.setrecursionlimit(2600)
    return "changed"


same(lambda _: os.getcwd())
home = os.getcwd()
same(changes)
os.chdir(home)
del os.environ[name]
sys.setrecursionlimit(2500)
same(lambda _: (os.getcwd(), os.environ.get(name), sys.getrecursionlimit()))
