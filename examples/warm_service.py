"""One pool for many calls: each worker loads something expensive once, then answers quickly."""

import re
import sysconfig
import time
from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar

from enact_pool import Pool


class Vocabulary:
    """The words of a worker, on a class: all calls see the same one.

    A global variable of this script would not do. Its functions travel to the
    workers by value, and those that travel apart do not share globals.
    """

    counts: ClassVar[Counter[str]]

    @classmethod
    def load(cls, folder: str) -> None:
        """Count the words of all Python files in a folder."""
        texts = (path.read_text("utf-8") for path in sorted(Path(folder).glob("*.py")))
        cls.counts = Counter(word for text in texts for word in re.findall(r"\b[a-z]{3,}\b", text))


def frequency(word: str) -> str:
    return f"{Vocabulary.counts[word]:,} times"


def similar(word: str) -> str:
    known = [known for known, count in Vocabulary.counts.items() if count > 20]
    return "like " + ", ".join(get_close_matches(word, known))


def main() -> None:
    stdlib = sysconfig.get_path("stdlib")
    with Pool(max_workers=2, initializer=Vocabulary.load, initargs=[stdlib]) as pool:
        for request in ["import", "retrun", "class", "excepton", "yield"]:
            began = time.perf_counter()
            results = pool.run_parallel([frequency, similar], request)
            took_ms = (time.perf_counter() - began) * 1000
            answers = "; ".join(result.output.unwrap() for result in results)
            print(f"{took_ms:6.0f} ms  {request}: {answers}", flush=True)


# Workers do not import this file: the guard is for readers and importers only.
if __name__ == "__main__":
    main()
