"""All hazards, group by group."""

from __future__ import annotations

from tests.hazards.fatal_hazards import death_hazards, hang_hazards
from tests.hazards.hazard import Hazard
from tests.hazards.process_hazards import leftover_hazards, shortage_hazards
from tests.hazards.state_hazards import change_hazards, damage_hazards
from tests.hazards.value_hazards import callable_hazards, exception_hazards, return_value_hazards

__all__ = ["HAZARDS", "by_name"]

HAZARDS: list[Hazard] = [
    *death_hazards(),
    *exception_hazards(),
    *return_value_hazards(),
    *callable_hazards(),
    *damage_hazards(),
    *change_hazards(),
    *leftover_hazards(),
    *shortage_hazards(),
    *hang_hazards(),
]


def by_name(name: str) -> Hazard:
    """Return the hazard of this name. Raises `KeyError` if there is none."""
    return {hazard.name: hazard for hazard in HAZARDS}[name]
