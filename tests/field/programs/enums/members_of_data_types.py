"""Members that are made of several values, or of a data type that no plain value makes."""

# expect: Ok(('day_1', 1, 24.0, True))
# expect: Ok(('BEETLE', 'small', 6))
# expect: Ok((2026, True))
# expect: Ok((3, 4, True))
# expect: True True
import datetime
from collections import namedtuple
from enum import Enum

from enact_pool import Pool


class Period(datetime.timedelta, Enum):
    day_0 = 0
    day_1 = 1


class Day(datetime.date, Enum):
    NEW_YEAR = 2026, 1, 1


class CreatureMixin:
    def __init__(self, size, legs):
        self.size = size
        self.legs = legs


class Creature(CreatureMixin, Enum):
    BEETLE = "small", 6
    DOG = "medium", 4


class Point(namedtuple("Point", "x y"), Enum):
    P = 3, 4


def period(_):
    day = Period.day_1
    return day.name, day.days, day.total_seconds() / 3600, Period["day_1"] is day


def creature(_):
    return Creature.BEETLE.name, Creature.BEETLE.size, Creature.BEETLE.legs


def day(_):
    return Day.NEW_YEAR.year, isinstance(Day.NEW_YEAR, datetime.date)


def point(_):
    return Point.P.x, Point.P.y, Point.P == (3, 4)


def members(_):
    return Period.day_0, Creature.DOG


# --- run ---
with Pool(1) as pool:
    for function in (period, creature, day, point):
        print(pool.run_parallel([function], 0)[0].output)
    first, second = pool.run_parallel([members], 0)[0].output.unwrap()
    print(first is Period.day_0, second is Creature.DOG)
