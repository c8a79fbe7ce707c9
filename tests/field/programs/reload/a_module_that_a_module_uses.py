"""A reload of a module that another module uses is seen through that one as well."""

# expect: old old
# expect: newer newer
import importlib
import sys
from pathlib import Path

from enact_pool import Pool

sys.path.insert(0, str(Path.cwd()))
Path("inner_y.py").write_text("VALUE = 'old'\n")
Path("outer_y.py").write_text("import inner_y\ndef f(x): return inner_y.VALUE\n")
import inner_y  # noqa: E402 - it is written above
import outer_y  # noqa: E402 - it is written above

with Pool(1) as pool:
    print(outer_y.f(0), pool.run_parallel([outer_y.f], 0)[0].output.unwrap())
    Path("inner_y.py").write_text("VALUE = 'newer'\n")
    importlib.reload(inner_y)
    print(outer_y.f(0), pool.run_parallel([outer_y.f], 0)[0].output.unwrap())
