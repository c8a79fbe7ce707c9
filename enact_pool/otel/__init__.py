"""OpenTelemetry spans of runs and callables: `TracingEmitter`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enact_pool.otel.tracing import TracingEmitter

__all__ = ["TracingEmitter"]


def __getattr__(name: str) -> object:
    # Imported only when used: workers import this package for `propagation`, which needs only
    # OpenTelemetry's API.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from enact_pool.otel import tracing

    return getattr(tracing, name)
