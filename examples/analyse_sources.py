"""Twenty analysers on megabytes of Python at once; three of them go wrong.

The text is the standard library's own source. Most analysers do real work, of
a few milliseconds up to seconds. One crashes in C, one raises, one is killed as
if memory had run out: each costs its own outcome, and nothing else. Afterwards
the others run here again, one by one, to see what the parallel run saved.
"""

import ast
import asyncio
import bz2
import ctypes
import difflib
import hashlib
import io
import keyword
import lzma
import math
import os
import re
import signal
import statistics
import sys
import sysconfig
import textwrap
import time
import tokenize
import zlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

from enact_pool import (
    Err,
    ExecutionFailed,
    Ok,
    ParallelCallable,
    ParallelResult,
    Pool,
    StepEnd,
    StreamEvent,
    run_parallel,
)

Analyser: TypeAlias = ParallelCallable[str, Any] | Callable[[str], Any]
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

TEXT_LENGTH = 2_500_000
WIDTH = 100
# Between the files of the text; in no Python source.
FILE_END = "\0"


def read_sources(folder: Path, room: int) -> str:
    """The standard library's top-level modules in order of name, as many as fit."""
    sources: list[str] = []
    for path in sorted(folder.glob("*.py")):
        with tokenize.open(path) as file:
            source = file.read()
        room -= len(source)
        if room < 0:
            break
        sources.append(source)
    return FILE_END.join(sources)


def lines_of(text: str) -> list[str]:
    return text.replace(FILE_END, "").splitlines()


def nodes_of(text: str) -> Iterator[ast.AST]:
    """All nodes of the syntax trees of all files."""
    for source in text.split(FILE_END):
        yield from ast.walk(ast.parse(source))


def functions_of(text: str) -> Iterator[Function]:
    return (node for node in nodes_of(text) if isinstance(node, Function))


# Analysers may be objects with `run` and `name` ...


@dataclass(frozen=True)
class Compression:
    """How much smaller a compressor makes the text."""

    name: str
    compress: Callable[[bytes], bytes]

    def run(self, text: str) -> str:
        encoded = text.encode()
        return f"{len(encoded) / len(self.compress(encoded)):.2f} times smaller"


@dataclass(frozen=True)
class Entropy:
    """How many bits a character holds, judged by runs of `length` characters."""

    length: int

    @property
    def name(self) -> str:
        return f"entropy of {self.length}-grams"

    def run(self, text: str) -> str:
        counts = Counter(zip(*(text[start:] for start in range(self.length)), strict=False))
        total = counts.total()
        bits = -sum(count / total * math.log2(count / total) for count in counts.values())
        return f"{bits / self.length:.3f} bits per character, {len(counts):,} different"


class NativeTokenizer:
    """Counts words in C, and forgets that at the end of the text `strpbrk` gives NULL."""

    name = "native tokenizer"
    blanks = b" \n"

    def run(self, text: str) -> str:
        self.libc = ctypes.CDLL(None)
        self.libc.strspn.argtypes = self.libc.strpbrk.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self.libc.strpbrk.restype = ctypes.c_void_p
        buffer = ctypes.create_string_buffer(text[:500_000].replace(FILE_END, "").encode())
        position, words = ctypes.addressof(buffer), 0
        while True:
            position = self.next_blank(self.next_word(position))
            words += 1

    def next_word(self, position: int) -> int:
        return self.libc.strspn(position, self.blanks) + position  # type: ignore[no-any-return]

    def next_blank(self, position: int) -> int:
        return self.libc.strpbrk(position, self.blanks)  # type: ignore[no-any-return]


# ... or functions, which have a name too ...


def syntax_tree(text: str) -> str:
    kinds = Counter(type(node).__name__ for node in nodes_of(text))
    return f"{kinds.total():,} nodes, {kinds['FunctionDef']:,} def, {kinds['ClassDef']:,} class"


def longest_function(text: str) -> str:
    def length(function: Function) -> int:
        return (function.end_lineno or function.lineno) - function.lineno + 1

    longest = max(functions_of(text), key=length)
    return f"{longest.name}, {length(longest)} lines"


def branchiest_function(text: str) -> str:
    """The function with the most ways through it, nearly as McCabe counts them."""
    branches = (ast.If, ast.IfExp, ast.For, ast.While, ast.ExceptHandler, ast.comprehension)

    def complexity(function: Function) -> int:
        return 1 + sum(isinstance(node, branches) for node in ast.walk(function))

    worst = max(functions_of(text), key=complexity)
    return f"{worst.name}, cyclomatic complexity {complexity(worst)}"


def documented_functions(text: str) -> str:
    public = [function for function in functions_of(text) if not function.name.startswith("_")]
    documented = sum(ast.get_docstring(function, clean=False) is not None for function in public)
    return f"{documented / len(public):.0%} of {len(public):,} public functions have docstrings"


def deepest_block(text: str) -> str:
    depth, deepest, where = 0, 0, ""
    for source in text.split(FILE_END):
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            depth += (token.type == tokenize.INDENT) - (token.type == tokenize.DEDENT)
            if depth > deepest:
                deepest, where = depth, token.line.strip()
    return f"{deepest} deep: {where}"


def identifiers(text: str) -> str:
    counts = Counter(
        token.string
        for source in text.split(FILE_END)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.NAME and not keyword.iskeyword(token.string)
    )
    top = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(3))
    return f"{len(counts):,} different; {top}"


def line_lengths(text: str) -> str:
    lengths = [len(line) for line in lines_of(text)]
    mean, deviation = statistics.fmean(lengths), statistics.stdev(lengths)
    return f"mean {mean:.1f}, deviation {deviation:.1f}, median {statistics.median(lengths):.0f}"


def repeated_line(text: str) -> str:
    counts = Counter(line.strip() for line in lines_of(text))
    return max((line for line, count in counts.items() if count > 1), key=len)


def near_duplicates(text: str) -> str:
    """The most alike of the functions that have the same name, yet are not the same."""
    by_name: dict[str, set[str]] = {}
    for function in functions_of(text):
        if len(function.body) > 3 and not function.name.startswith("__"):
            by_name.setdefault(function.name, set()).add(ast.unparse(function))
    best, alike = 0.0, ""
    for name, sources in sorted(by_name.items()):
        for one, other in combinations(sorted(sources), 2):
            matcher = difflib.SequenceMatcher(a=one.splitlines(), b=other.splitlines())
            if best < matcher.quick_ratio() and best < (ratio := matcher.ratio()):
                best, alike = ratio, name
    return f"two functions named {alike} are {best:.0%} alike"


def plain_ascii(text: str) -> str:
    """Raises: not all of the text is ASCII."""
    return f"{len(text.encode('ascii')):,} bytes"


def all_substrings(text: str) -> str:
    """Killed, as a process is that asks for more memory than there is."""
    longest = text[:400]
    found = {longest[i:j] for i, j in combinations(range(len(longest) + 1), 2)}
    os.kill(os.getpid(), signal.SIGKILL)
    return f"{len(found):,} different"


# ... which may be coroutine functions ...


async def open_questions(text: str) -> str:
    async def count(mark: str) -> str:
        found = re.findall(rf"#.*\b{mark}\b", text)
        return f"{len(found):,} {mark}"

    return ", ".join(await asyncio.gather(count("TODO"), count("XXX"), count("FIXME")))


# ... or closures and lambdas.


def digest(algorithm: str) -> Callable[[str], str]:
    def fingerprint(text: str) -> str:
        return f"{algorithm} {hashlib.new(algorithm, text.encode()).hexdigest()[:16]}..."

    return fingerprint


ANALYSERS: list[Analyser] = [
    digest("sha256"),
    Compression("zlib", zlib.compress),
    line_lengths,
    NativeTokenizer(),
    Compression("lzma", lzma.compress),
    syntax_tree,
    identifiers,
    plain_ascii,
    branchiest_function,
    Entropy(1),
    Entropy(3),
    near_duplicates,
    all_substrings,
    deepest_block,
    longest_function,
    documented_functions,
    Compression("bz2", bz2.compress),
    open_questions,
    repeated_line,
    lambda text: f"{text.count('self.'):,} times self.",
]


class Progress:
    """An emitter: tells what happens as it happens, in the order of the analysers."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.told = 0

    def emit(self, event: StreamEvent) -> None:
        match event:
            case StepEnd(output=output):
                said = output or ""
            case ExecutionFailed(error=error):
                said = f"died: {error.code}"
            case _:
                said = event.type
        elapsed = time.perf_counter() - self.began
        line = f"{elapsed:6.2f} s {self.told:4}  {label(ANALYSERS[self.told]):<21} {said}"
        print(fitted(line), flush=True)
        self.told += 1


def label(analyser: Analyser) -> str:
    return getattr(analyser, "name", "") or getattr(analyser, "__name__", "?")


def fitted(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."


def row(number: int, result: ParallelResult[str]) -> str:
    """A line of the table."""
    match result.output:
        case Ok(found):
            outcome = "ok"
        case Err(found):
            outcome = "raised"
    if result.error is not None:
        outcome, found = result.error.code or "died", "its worker died with it"
    name = label(ANALYSERS[number])
    return fitted(f"{number:3}  {name:<21} {outcome:<8} {result.duration_ms:6,.0f} ms  {found}")


def run_here(analyser: Analyser, text: str) -> str:
    """Do here what a worker does with an analyser."""
    found = analyser.run(text) if isinstance(analyser, ParallelCallable) else analyser(text)
    return str(asyncio.run(found) if isinstance(found, Coroutine) else found)


def main() -> None:
    folder = Path(sysconfig.get_path("stdlib"))
    text = read_sources(folder, int(sys.argv[1]) if len(sys.argv) > 1 else TEXT_LENGTH)
    files = text.count(FILE_END) + 1
    print(f"{len(ANALYSERS)} analysers on {len(text):,} characters, {files} files of {folder}")

    print("\nLive, each as soon as it and those before it are known:\n", flush=True)
    began = time.perf_counter()
    with Pool() as pool:
        workers = pool.max_workers
        results: list[ParallelResult[str]] = run_parallel(ANALYSERS, text, Progress(), pool=pool)
    parallel_seconds = time.perf_counter() - began

    print("\nThe results:\n")
    for number, result in enumerate(results):
        print(row(number, result))

    for result in results:
        if result.error is not None and result.error.details["stack"]:
            print(f"\nThe crash: {result.error.message}\n")
            print(textwrap.indent(result.error.details["stack"], "    "))

    good = [index for index, result in enumerate(results) if result.output.is_ok]
    print(f"\nNow the {len(good)} good ones again, one by one in this process ...", flush=True)
    began = time.perf_counter()
    found = [run_here(ANALYSERS[index], text) for index in good]
    serial_seconds = time.perf_counter() - began
    same = found == [results[index].output.unwrap() for index in good]

    bad = len(results) - len(good)
    print(f"... which find {'the same' if same else 'SOMETHING ELSE'}.\n")
    print(
        f"{f'all {len(results)} in parallel':<20} {parallel_seconds:6.2f} s   "
        f"on {workers} workers, with their start and the {bad} that go wrong"
    )
    print(f"{f'{len(good)} one by one':<20} {serial_seconds:6.2f} s")
    print(f"{'times as fast':<20} {serial_seconds / parallel_seconds:6.2f}")


# Workers do not import this file, so they need no guard: this one is for importers.
if __name__ == "__main__":
    main()
