import importlib
import sys
from pathlib import Path

from variation_checks import same

sys.path.insert(0, str(Path.cwd()))
FOLDER = Path("package")
FOLDER.mkdir()


def write(name, text):
    (FOLDER / f"{name}.py").write_text(text)
    importlib.invalidate_caches()


write("__init__", "")
write("plain", "VALUE = 'one'\ndef f(_): return VALUE\n")
write("classes", "class Thing:\n    kind = 'one'\n    def tell(self): return self.kind\n")
write(
    "user",
    "from package.plain import f\nimport package.plain\ndef g(_): return package.plain.f(0)\n",
)

import package.classes  # noqa: E402 - these are written above
import package.plain  # noqa: E402
import package.user  # noqa: E402
from package.plain import f  # noqa: E402

same(package.plain.f, package.user.g, lambda _: package.classes.Thing().tell(), f)

write("plain", "VALUE = 'number two'\ndef f(_): return VALUE + '!'\n")
importlib.reload(package.plain)
same(package.plain.f, package.user.g, lambda _: package.plain.VALUE)

write("classes", "class Thing:\n    kind = 'number two'\n    def tell(self): return [self.kind]\n")
importlib.reload(package.classes)
same(lambda _: package.classes.Thing().tell())

# The file is the same; its module is imported anew.
del sys.modules["package.plain"]
write("plain", "VALUE = 'three, and longer'\ndef f(_): return VALUE\n")
import package.plain  # noqa: E402

same(package.plain.f, lambda _: package.plain.VALUE)

write("late", "def h(_): return 'late'\n")
import package.late  # noqa: E402

same(package.late.h)
