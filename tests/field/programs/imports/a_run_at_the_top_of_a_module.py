"""A run at the top level of an imported module works, or is one error; it is not repeated."""

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
    "from enact_pool import map_parallel\n"
    "def f(x): return x\n"
    "OUTPUTS = [r.output for r in map_parallel(f, range(4), max_workers=2)]\n"
)
import pipeline  # noqa: E402 - it is written above

print(
    "answers, or an error that names the module:",
    all(
        output.unwrap() == n if output.is_ok else "pipeline" in output.error
        for n, output in enumerate(pipeline.OUTPUTS)
    )
    or pipeline.OUTPUTS,
)
imports = len(Path("imports.txt").read_text())
print("few imports:", imports <= 12 or imports)  # one here, and a few for each of four callables
