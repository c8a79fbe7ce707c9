"""A run at the top level of a module that unwraps its results ends soon, by value or by error."""

# stderr: the worker may report a refusal there
# expect: answers, or an error that names the module: True
# expect: few imports: True
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
Path("pipeline.py").write_text(
    "with open('imports.txt', 'a') as file:\n"
    "    file.write('x')\n"
    "    if file.tell() > 30:\n"  # it must not go on without end, or fill the machine
    "        raise ImportError('imported too often')\n"
    "from enact_pool import run_parallel\n"
    "def f(x): return x\n"
    "VALUES = [r.output.unwrap() for r in run_parallel([f] * 4, 1, max_workers=2)]\n"
)
try:
    import pipeline
except Exception as error:
    right = "pipeline" in str(error) or error
else:
    right = pipeline.VALUES == [1] * 4 or pipeline.VALUES
print("answers, or an error that names the module:", right)
imports = len(Path("imports.txt").read_text())
print("few imports:", imports <= 12 or imports)  # one here, and a few for each of four callables
