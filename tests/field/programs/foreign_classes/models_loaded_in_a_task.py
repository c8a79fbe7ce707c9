"""What a task has loaded from a database is a detached instance of the caller's model."""

# needs: sqlalchemy
import sqlalchemy as sa
from sqlalchemy import orm

from enact_pool import Pool


class Base(orm.DeclarativeBase):
    pass


class There(Base):
    __tablename__ = "there"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)


class Timed(Base):
    __abstract__ = True
    made: orm.Mapped[int] = orm.mapped_column(default=7, sort_order=5)


class Row(Timed):
    __tablename__ = "row"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    text: orm.Mapped[str] = orm.mapped_column(deferred=True)
    there_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("there.id"))
    there: orm.Mapped[There] = orm.relationship(
        lazy="selectin", foreign_keys=[there_id], primaryjoin=lambda: Row.there_id == There.id
    )
    more: orm.WriteOnlyMapped["Extra"] = orm.relationship(
        order_by=lambda: Extra.id.desc(), cascade="all, delete-orphan", passive_deletes=True
    )
    by_key: orm.Mapped[dict[str, "Extra"]] = orm.relationship(
        collection_class=orm.attribute_keyed_dict("key"), overlaps="more", viewonly=True
    )


class Extra(Base):
    __tablename__ = "extra"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    key: orm.Mapped[str]
    row_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey(Row.id, ondelete="cascade"))


Row.count = orm.column_property(
    sa.select(sa.func.count(Extra.id))
    .where(Extra.row_id == Row.id)
    .correlate_except(Extra)
    .scalar_subquery()
)
Extra.upper = orm.column_property(sa.func.upper(Extra.key))
sa.Index("an_index", Extra.key, Extra.row_id)


def rows(_):
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as s:
        row = Row(text="t", there=There(id=4))
        row.more.add(Extra(key="k"))
        s.add(row)
        s.commit()
        s.expire_all()
        row = s.scalars(sa.select(Row)).one()
        out = (
            row.count,
            row.by_key["k"].upper,
            [e.key for e in s.scalars(row.more.select())],
            row.there.id,
            row.made,
            list(Row.__table__.c.keys()),
            sorted(Base.metadata.tables),
            [i.name for i in Extra.__table__.indexes],
        )
    return row, out


# --- run ---
with Pool(1) as pool:
    row, out = pool.run_parallel([rows], None)[0].output.unwrap()
    print(out, type(row) is Row, sa.inspect(row).detached, row.there.id, row.id)
    try:
        print(row.text)
    except orm.exc.DetachedInstanceError as error:
        print(str(error)[50:120])
    row.text = "x"
    print(row.text, sa.inspect(row).modified, sa.inspect(row).identity, sorted(row.__dict__))
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as s:
        s.merge(row)
        s.commit()
        print(s.scalars(sa.select(Row)).one().there.id)
        print(
            pool.run_parallel(
                [lambda r: (r.id, r.made, r.there_id)], s.scalars(sa.select(Row)).one()
            )[0].output
        )
