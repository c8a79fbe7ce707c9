"""The table of the hooks that observers implement."""

from __future__ import annotations

from enact_pool._core.observer import HOOKS, NO_HOOKS, Hooks


class First:
    wants_texts = True

    def tick(self) -> float:
        return 1.0

    def deliver(self) -> None:
        pass


class Second:
    error = ValueError("second")

    def tick(self) -> float:
        return 2.0


class Third:
    error = ValueError("third")


def test_a_hook_that_nothing_implements_is_empty() -> None:
    assert all(getattr(NO_HOOKS, hook) == () for hook in HOOKS)
    assert not NO_HOOKS.wants_texts
    assert NO_HOOKS.error is None
    assert len(NO_HOOKS.pending) == 0


def test_observers_are_called_in_the_order_in_which_they_were_given() -> None:
    hooks = Hooks((First(), Second()))
    assert [tick() for tick in hooks.tick] == [1.0, 2.0]
    assert len(hooks.deliver) == 1
    assert hooks.run_started == ()
    assert hooks.wants_texts


def test_texts_are_made_only_if_an_observer_wants_them() -> None:
    assert not Hooks([Second()]).wants_texts
    assert Hooks([First(), Second()]).wants_texts


def test_the_first_exception_that_was_kept_counts() -> None:
    assert Hooks([First()]).error is None
    assert Hooks([First(), Second(), Third()]).error is Second.error


def test_what_is_pending_is_the_list_that_was_given() -> None:
    pending = [1]
    assert Hooks((), pending).pending is pending
