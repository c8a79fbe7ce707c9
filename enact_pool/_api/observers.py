"""The observers of a run, chosen by its options. The engine and the observers meet only here."""

from __future__ import annotations

from typing import Any

from enact_pool._api.options import Options
from enact_pool._core.observer import Hooks
from enact_pool._engine.setup import RunExtras
from enact_pool._engine.task_source import TaskSource
from enact_pool._events.emitter import Emitter, EventEmitter, is_live
from enact_pool._model.limits import Limits
from enact_pool._observe.delivery import Delivery
from enact_pool._observe.outcome_events import OutcomeEvents

__all__ = ["extras_of", "hooks_of"]


def hooks_of(
    source: TaskSource, emitter: Emitter | None, options: Options, replaced: tuple[Any, Any] | None
) -> Hooks:
    """Return the hooks of a run that has observers.

    Args:
        source: The tasks; the source may be an observer, too.
        emitter: Receives the events.
        options: The options of the run.
        replaced: The objects that replace stdout and stderr, if there are some.

    Raises:
        Exception: What making an observer raises.
    """
    # Most observers are imported only for runs that have them: the imports take long.
    # The order matters: a task's output, its log records and its events are delivered before its
    # result is.
    observers: list[Any] = []
    delivery = Delivery()
    if replaced is not None:
        from enact_pool._observe.relayed_output import RelayedOutput

        observers.append(RelayedOutput(replaced, source))
    if options.capture_output:
        from enact_pool._observe.captured_output import CapturedOutput

        observers.append(CapturedOutput())
    if options.progress is not False:
        from enact_pool._observe.progress import RunProgress

        runs_emitter = emitter is not None and type(emitter) is not EventEmitter
        progress = RunProgress.of(options.progress, beside_prints=source.is_lazy or runs_emitter)
        if progress is not None:
            observers.append(progress)
    if options.forward_logs:
        from enact_pool._observe.log_receiver import LogReceiver

        observers.append(LogReceiver(delivery))
    live = None
    if emitter is not None:
        if is_live(emitter):
            from enact_pool._observe.live import LiveEvents

            live = LiveEvents(emitter, delivery)
            observers.append(live)
        observers.append(OutcomeEvents(emitter, delivery, live))
    if live is not None or options.forward_logs:
        observers.append(delivery)
    if source.has_own_streams:
        observers.append(source)
    return Hooks(observers, delivery.pending)


def extras_of(hooks: Hooks, limits: Limits, options: Options) -> RunExtras:
    """Return what the workers of a run have to send besides outcomes."""
    levels = None
    if options.forward_logs:
        from enact_pool._observe.log_receiver import logger_levels

        levels = logger_levels()
    return RunExtras(
        shows_outputs=hooks.wants_texts,
        captures_output=options.capture_output,
        max_memory=limits.max_memory,
        log_levels=levels,
    )
