"""What is raised if something changes from one state to another in a way that it cannot."""

__all__ = ["IllegalTransition"]


class IllegalTransition(RuntimeError):
    """Something cannot go from one state to another: a bug in the library."""
