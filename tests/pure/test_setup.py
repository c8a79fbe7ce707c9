"""The setup of a run, as bytes and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from enact_pool._wire.setup import CALLS, FUNCTION, INPUT, NO_SETUP, RunSetup

SETUPS = st.builds(
    RunSetup,
    st.sampled_from((INPUT, FUNCTION, CALLS)),
    st.binary(),
    is_large=st.booleans(),
    is_shared=st.booleans(),
    shows_outputs=st.booleans(),
    sends_exceptions=st.booleans(),
    captures_output=st.booleans(),
    max_memory=st.none() | st.integers(0, (1 << 64) - 1),
    log_levels=st.none() | st.dictionaries(st.text(), st.integers()),
    wrappers=st.lists(st.binary()),
)


@given(SETUPS)
def test_a_decoded_setup_equals_the_encoded_one(setup: RunSetup) -> None:
    decoded = RunSetup.decode(setup.encode())
    for name in RunSetup.__slots__:
        assert getattr(decoded, name) == getattr(setup, name), name


def test_a_memory_limit_beyond_any_machine_is_as_good_as_the_largest_one() -> None:
    setup = RunSetup(max_memory=1 << 80)
    assert RunSetup.decode(setup.encode()).max_memory == (1 << 64) - 1


def test_the_setup_that_replaces_another_one_is_small() -> None:
    assert len(NO_SETUP) < 16
    assert not RunSetup.decode(NO_SETUP).is_large
