"""The commands, their options and their help texts."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from importlib.util import find_spec
from os.path import realpath, splitext
from typing import Any, Literal

import click

from enact_pool import __version__
from enact_pool._api.map_functions import imap_parallel
from enact_pool._api.run_functions import iter_parallel
from enact_pool._cli.parameters import lines_of, opened, output_file, seconds, size, text_of
from enact_pool._cli.report import Report
from enact_pool._cli.standard import stdout_apart
from enact_pool._cli.targets import load
from enact_pool._events.emitter import Emitter, EventEmitter
from enact_pool._events.event_log import EventLog, read_events
from enact_pool._events.events import StreamEvent
from enact_pool._model.results import ParallelResult

__all__ = ["command", "main"]

# The exit statuses that a shell reports for programs killed by SIGINT and by SIGPIPE.
_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main() -> None:
    """Run the command line, and exit."""
    try:
        status = command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        status = _INTERRUPTED
    sys.exit(status)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="enact-pool")
def command() -> None:
    """Run Python functions in parallel worker processes; a crash costs one result.

    \b
    Example:
      enact-pool run html:escape string:capwords --input "what <is> this?"

    See enact-pool run --help.
    """


@command.command()
@click.argument("targets", metavar="MODULE:FUNCTION...", nargs=-1, required=True)
@click.option(
    "--input",
    "given",
    metavar="TEXT|@FILE|-",
    required=True,
    help="The input of the functions: this text, the text of a file, or that of standard input "
    "(-). Bytes that are not UTF-8 become what `os.fsdecode` makes of them.",
)
@click.option(
    "--map",
    "is_map",
    is_flag=True,
    help="Call one function with each line of the input, as lines arrive: it may be endless.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many functions run at once.  [default: the number of CPUs]",
)
@click.option(
    "--timeout",
    type=seconds,
    metavar="SECONDS",
    help="Kill each call that takes longer.",
)
@click.option(
    "--max-memory",
    type=size,
    metavar="SIZE",
    help="Kill each call whose worker owns more memory: bytes, or with a unit: kB, MB, GB, TB "
    "(of 1000), KiB, MiB, GiB, TiB (of 1024).",
)
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Show a bar on standard error.  [default: if that is a terminal]",
)
@click.option(
    "--events",
    type=output_file(),
    metavar="FILE",
    help="Append all events to this file as JSON lines, at once: they survive this process.",
)
@click.option(
    "--timeline",
    type=output_file(".html", ".json", ".json.gz"),
    metavar="FILE",
    help="Draw the run at its end: a page (.html), or a trace for Chrome and Perfetto (.json, "
    ".json.gz).",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print each result as a JSON object on one line."
)
@click.pass_context
def run(
    context: click.Context,
    targets: tuple[str, ...],
    given: str,
    is_map: bool,
    workers: int | None,
    timeout: float | None,
    max_memory: int | None,
    progress: bool | None,
    events: str | None,
    timeline: str | None,
    as_json: bool,
) -> None:
    """Call functions in parallel, each with the same input, and print their results.

    A MODULE is found as by python -m: in the current folder first. A FUNCTION is the name
    of an object in it that can be called with a text, or that has run(text). Each result
    is printed as soon as its turn comes, in the order of the functions, or of the input's
    lines. A function that raises, or crashes its worker, costs only its own result.

    \b
    Examples:
      enact-pool run html:escape string:capwords --input "what <is> this?"
      enact-pool run checks:spelling checks:links --input @report.md
      enact-pool run thumbs:make --map --input @paths.txt --timeout 30 --max-memory 2GiB
      find . -name '*.pdf' | enact-pool run pdf:title --map --input - --json | jq .value

    With --json, each line has index, name, execution_id, ok, type and duration_ms. A result
    that is ok has value; another one has error and traceback, and also category and details
    if the call was killed or crashed its worker. A value that JSON cannot represent is
    printed as its repr (of a bounded size), and value_is_repr is true. What the functions
    print goes to standard error, and so does a summary without --json.

    \b
    Exit status:
      0    all results are ok
      1    some are not; or results, events or the timeline could not be written
      2    the command is wrong: see standard error
      130  the command was interrupted (Ctrl-C)
      141  the reader of the results closed the pipe
    """
    if is_map and len(targets) > 1:
        raise click.UsageError(f"--map accepts one function, not {len(targets)}")
    if events is not None and timeline is not None and realpath(events) == realpath(timeline):
        raise click.UsageError("--events and --timeline cannot be the same file")
    if timeline is not None and timeline.endswith(".html"):
        _require("plotly", "timeline", "--timeline")
    options: dict[str, Any] = {
        "max_workers": workers,
        "timeout": timeout,
        "max_memory": max_memory,
        "progress": _progress(progress),
    }
    with ExitStack() as stack:
        stream = stack.enter_context(stdout_apart())
        callables = load(targets)
        source = stack.enter_context(opened(given))
        results: Generator[ParallelResult[Any], None, None]
        if is_map:
            emitter = stack.enter_context(_recorded(events, timeline))
            results = imap_parallel(callables[0], lines_of(source), emitter, **options)
        else:
            text = text_of(source)
            emitter = stack.enter_context(_recorded(events, timeline))
            results = iter_parallel(callables, text, emitter, **options)
        stack.enter_context(closing(results))
        report = Report(stream, as_json)
        for result in results:
            try:
                report.write(result)
            except BrokenPipeError:
                context.exit(_BROKEN_PIPE)
            except OSError as error:
                raise click.ClickException(f"cannot write results: {error.strerror}") from error
    if not as_json:
        click.echo(report.summary(), err=True)
    context.exit(0 if report.all_ok else 1)


def _progress(requested: bool | None) -> bool | Literal["force"]:
    if requested is None:
        # The bar was not requested: if it cannot be shown, do not report that.
        return find_spec("tqdm") is not None
    if requested:
        _require("tqdm", "progress", "--progress")
    return "force" if requested else False


def _require(module: str, extra: str, option: str) -> None:
    """Raise `click.BadParameter` if the module that an option needs is not installed."""
    if find_spec(module) is None:
        message = f"the option needs {module}: pip install 'enact_pool[{extra}]'"
        raise click.BadParameter(message, param_hint=option)


@contextmanager
def _recorded(events: str | None, timeline: str | None) -> Iterator[Emitter | None]:
    """Return the emitter that records a run; draw the timeline at the end."""
    drawn = None if timeline is None else EventEmitter("live")
    with nullcontext(drawn) if events is None else _logged(events, drawn) as emitter:
        try:
            yield emitter
        finally:
            if drawn is not None and timeline is not None:
                _draw(drawn.drain(), timeline)


@contextmanager
def _logged(path: str, emitter: Emitter | None) -> Iterator[Emitter]:
    try:
        try:
            log = EventLog(path, emitter)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--events") from error
        with log:
            yield log
    except OSError as error:
        if error.filename != path:
            raise
        raise click.ClickException(f"cannot write {path!r}: {error.strerror}") from error


@command.command("timeline")
@click.argument("events", metavar="EVENTS", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "-o",
    "--output",
    type=output_file(".html", ".json", ".json.gz"),
    metavar="FILE",
    help="The page (.html) to write, or the trace (.json, .json.gz).  [default: EVENTS with .html]",
)
def draw(events: str, output: str | None) -> None:
    """Draw what happened in a run: which worker ran what, and when.

    EVENTS is the file of run --events, or of an EventLog; the run may still be going on, or
    may have been killed. A page (.html) is one file for a browser, which needs no network;
    a trace (.json) can be loaded in chrome://tracing and ui.perfetto.dev.

    \b
    Examples:
      enact-pool timeline run.jsonl                   # writes run.html
      enact-pool timeline run.jsonl -o trace.json
    """
    path = output or splitext(events)[0] + ".html"
    if realpath(path) == realpath(events):
        raise click.BadParameter(f"{path!r} is the file of the events", param_hint="--output")
    if path.endswith(".html"):
        _require("plotly", "timeline", "--output")
    try:
        _draw(read_events(events), path)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="EVENTS") from error
    click.echo(path)


def _draw(events: Iterable[StreamEvent], path: str) -> None:
    from enact_pool.timeline import write_timeline  # its import takes long

    try:
        write_timeline(events, path)
    except OSError as error:
        raise click.ClickException(f"{error.filename or path}: {error.strerror}") from error
