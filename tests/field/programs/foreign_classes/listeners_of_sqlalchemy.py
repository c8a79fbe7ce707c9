"""What SQLAlchemy keeps outside a model is lost in a task, which is said when it is sent first."""

# needs: sqlalchemy
# expect: Ok([1, 2])
# expect: event listeners and Mutable columns of Heard have no effect in tasks
# expect: event listeners and Mutable columns of Tracked have no effect in tasks
# expect: Ok([1, 2])
# expect: 2
import warnings

import sqlalchemy as sa
from sqlalchemy import event, orm
from sqlalchemy.ext.mutable import MutableDict

from enact_pool import Pool


class Base(orm.DeclarativeBase):
    pass


class Plain(Base):
    __tablename__ = "plain"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)

    @orm.validates("id")
    def check(self, _, value):
        return value


class Heard(Base):
    __tablename__ = "heard"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)


class Tracked(Base):
    __tablename__ = "tracked"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    options: orm.Mapped[dict] = orm.mapped_column(MutableDict.as_mutable(sa.JSON))


@event.listens_for(Heard, "init")
def heard(*_):
    pass


def plain(_):
    return [Plain(id=1).id, Plain(id=2).id]


def others(_):
    return [Heard(id=1).id, Tracked(id=2).id]


# In a module of its own, changes by the caller would not be seen.
orm.configure_mappers()  # as the first use of a model does
with Pool(1) as pool, warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(pool.run_parallel([plain], 1)[0].output)
    first = pool.run_parallel([others], 1)[0].output
    for text in sorted(str(each.message).partition(",")[0] for each in caught):
        print(text)
    print(first)
    pool.run_parallel([others], 1)
    print(len(caught))
