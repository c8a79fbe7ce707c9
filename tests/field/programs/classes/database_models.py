"""A declarative model of SQLAlchemy works in a task."""

# needs: sqlalchemy
# expect: Ok(1)
# expect: Ok(['row', 'id'])
# expect: True 2
from sqlalchemy import orm

from enact_pool import Pool


class Base(orm.DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "row"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)


def make(n):
    return Row(id=n).id


def described(_):
    return [Row.__table__.name, *[column.name for column in Row.__table__.columns]]


def a_row(n):
    return Row(id=n)


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([make], 1)[0].output)
    print(pool.run_parallel([described], 0)[0].output)
    row = pool.run_parallel([a_row], 2)[0].output.unwrap()
    print(type(row) is Row, row.id)
