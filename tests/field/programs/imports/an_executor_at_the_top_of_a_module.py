"""An executor at the top level of an imported module works, or is refused; it never hangs."""

# stderr: the worker may report a refusal there
# expect: True
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
Path("mod_a.py").write_text(
    "from enact_pool import PoolExecutor\n"
    "def square(x): return x * x\n"
    "with PoolExecutor(1) as executor:\n"
    "    TABLE = list(executor.map(square, [3]))\n"
)
try:
    import mod_a
except Exception as error:  # it must say what is wrong
    print("mod_a" in str(error) or error)
else:
    print(mod_a.TABLE == [9] or mod_a.TABLE)
