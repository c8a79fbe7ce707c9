"""Declarative models of SQLAlchemy work in a task as those of a module do."""

# needs: sqlalchemy
import datetime
import enum
import uuid

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.associationproxy import association_proxy
from sqlalchemy.ext.hybrid import hybrid_property

from enact_pool import Pool


def four():
    return 4


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Base(orm.DeclarativeBase):
    metadata = sa.MetaData(naming_convention={"ix": "index_%(column_0_label)s"})
    type_annotation_map = {str: sa.String(30)}

    def as_dict(self):
        return {c.key: getattr(self, c.key) for c in sa.inspect(type(self)).column_attrs}


class Stamped:
    stamp: orm.Mapped[datetime.datetime | None]
    note: orm.Mapped[str] = orm.mapped_column(default="noted", index=True)

    @orm.declared_attr.directive
    def __tablename__(cls):
        return cls.__name__.lower()


tagged = sa.Table(
    "tagged",
    Base.metadata,
    sa.Column("user", sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("tag", sa.ForeignKey("tag.id"), primary_key=True),
)


class User(Base):
    __tablename__ = "users"
    __table_args__ = (sa.UniqueConstraint("name", "mail_address"), {"comment": "who"})
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column()
    mail: orm.Mapped[str | None] = orm.mapped_column("mail_address", sa.String(80))
    color: orm.Mapped[Color] = orm.mapped_column(default=Color.RED)
    options: orm.Mapped[dict] = orm.mapped_column(sa.JSON, default=dict)
    size: orm.Mapped[int] = orm.mapped_column(default=four, deferred=True)
    posts: orm.Mapped[list["Post"]] = orm.relationship(
        back_populates="author", cascade="all, delete-orphan", order_by="Post.title.desc()"
    )
    tags: orm.Mapped[set["Tag"]] = orm.relationship(secondary=tagged, back_populates="users")
    boss_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("users.id"))
    boss: orm.Mapped["User | None"] = orm.relationship(remote_side=[id], backref="staff")
    longer = orm.column_property(name + "!")
    alias = orm.synonym("name")
    tag_names = association_proxy("tags", "name", creator=lambda name: Tag(name=name))

    @hybrid_property
    def initial(self):
        return self.name[0]

    @initial.inplace.expression
    @classmethod
    def _initial(cls):
        return sa.func.substr(cls.name, 1, 1)

    @orm.validates("mail")
    def check_mail(self, key, mail):
        if mail is not None and "@" not in mail:
            raise ValueError(f"{key} has no @")
        return mail


class Post(Stamped, Base):
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str]
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(User.id))
    author: orm.Mapped[User] = orm.relationship(back_populates="posts")

    def __init__(self, title, **others):
        super().__init__(title=title.title(), **others)

    def __repr__(self):
        return f"Post({self.title})"


class Tag(Stamped, Base):
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(unique=True)
    users: orm.Mapped[list[User]] = orm.relationship(secondary="tagged", back_populates="tags")


class Animal(Base):
    __tablename__ = "animal"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    kind: orm.Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}


class Dog(Animal):
    __tablename__ = "dog"
    id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("animal.id"), primary_key=True)
    tricks: orm.Mapped[int] = orm.mapped_column(default=0)
    __mapper_args__ = {"polymorphic_identity": "dog", "inherit_condition": id == Animal.id}


class Puppy(Dog):
    __tablename__ = "puppy"
    id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("dog.id"), primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "puppy", "inherit_condition": id == Dog.id}


class Cat(Animal):
    lives: orm.Mapped[int | None]
    born: orm.Mapped[int | None] = orm.mapped_column(
        default=lambda context: context.current_parameters.get("lives"), onupdate=lambda: None
    )
    __mapper_args__ = {"polymorphic_identity": "cat"}


class Plain(orm.MappedAsDataclass, Base):
    __tablename__ = "plain"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, init=False)
    name: orm.Mapped[str]
    size: orm.Mapped[int] = orm.mapped_column(default=3)
    mark: orm.Mapped[uuid.UUID] = orm.mapped_column(insert_default=uuid.uuid4, init=False)


Old = orm.declarative_base()


class OldRow(Old):
    __tablename__ = "old"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column("called", sa.String, default="x")
    children = orm.relationship("OldChild", backref=orm.backref("row", lazy="joined"))


class OldChild(Old):
    __tablename__ = "old_child"
    id = sa.Column(sa.Integer, primary_key=True)
    row_id = sa.Column(sa.ForeignKey("old.id"))


mapped = orm.registry()


@mapped.mapped
class Decorated:
    __tablename__ = "decorated"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    version: orm.Mapped[int] = orm.mapped_column()
    __mapper_args__ = {"version_id_col": version}


@mapped.mapped_as_dataclass
class DecoratedData:
    __tablename__ = "decorated_data"
    name: orm.Mapped[str] = orm.mapped_column(default="d")
    id: orm.Mapped[uuid.UUID] = orm.mapped_column(primary_key=True, default_factory=uuid.uuid4)


class Imperative:
    def __init__(self, id):
        self.id = id


mapped.map_imperatively(
    Imperative, sa.Table("i", mapped.metadata, sa.Column("id", sa.Integer, primary_key=True))
)

A_USER = User(id=9, name="global", posts=[Post("of a global")])
BY_NAME = sa.select(User.id).where(User.name == "a").order_by(User.mail)


def first_of_all(_):
    return Cat(lives=2).lives, Puppy(tricks=2).kind


def made(_):
    user = User(id=1, name="n", mail="a@b")
    return user.id, user.name, user.alias, user.mail, user.initial, user.posts, user.as_dict()


def columns(_):
    return (
        [
            (
                table.name,
                [(c.key, c.name, str(c.type), c.nullable, c.primary_key) for c in table.c],
                sorted(f.target_fullname for f in table.foreign_keys),
                sorted(map(str, (i.name for i in table.indexes))),
            )
            for table in Base.metadata.sorted_tables
        ],
        User.__table__.comment,
        len(User.__table__.constraints),
    )


def selected(_):
    return [
        str(sa.select(User)),
        str(sa.select(User.mail, User.longer).where(User.initial == "a")),
        str(sa.select(Post).join(Post.author).where(User.color == Color.RED)),
        str(sa.select(Dog)),
        str(sa.select(Cat)),
        str(sa.select(OldRow.name).join(OldRow.children)),
        str(BY_NAME),
        str(sa.insert(Plain)),
        str(BY_NAME),
        str(sa.select(User).join(User.tags)),
        str(tagged.select()),
    ]


def refused(_):
    errors = []
    for arguments in ({"mail": "none"}, {"other": 1}):
        try:
            User(**arguments)
        except (TypeError, ValueError) as error:
            errors.append(str(error))
    return errors


def in_a_database(_):
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        user = User(name="ann", posts=[Post("a post"), Post("the post")], tag_names={"x"})
        user.boss = User(name="bob")
        session.add_all([user, Dog(tricks=2), Cat(lives=9, born=3), Puppy(tricks=1), Plain("p")])
        session.commit()
        user.options = {"a": 1}
        session.commit()
        found = session.scalars(sa.select(User).where(User.initial == "a")).one()
        return (
            found.posts,
            found.boss.staff == [found],
            found.tag_names,
            found.longer,
            found.size,
            found.options,
            found.color,
            found.posts[0].note,
            found.posts[0].author is found,
            [type(one).__name__ for one in session.scalars(sa.select(Animal).order_by("id"))],
            session.scalars(sa.select(Dog.tricks)).all(),
            session.scalars(sa.select(Plain)).one().mark.version,
            next(iter(found.tags)).users[0].name,
        )


def others(_):
    child = OldChild(row=OldRow(id=2))
    made = Decorated(id=2)
    return (
        child.row.children == [child],
        made.id,
        Imperative(3).id,
        DecoratedData().name,
        Plain("a"),
        Decorated.__mapper__.version_id_col.name,
        [c.name for c in Imperative.__table__.c],
        A_USER.posts[0].author.name,
        User.metadata is Base.metadata,
        tagged is Base.metadata.tables["tagged"],
        sorted(mapper.class_.__name__ for mapper in Base.registry.mappers),
        User.registry is Base.registry,
        Base.__init__.__module__,
        User.__tablename__,
        Post.__tablename__,
    )


def a_model_of_the_task(_):
    class Late(Stamped, Base):
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
        name: orm.Mapped[str]

    return Late(name="l").name, Late.__table__.c.keys(), str(Late.__table__.c.name.type)


def of_an_input(user):
    user.posts.append(Post("added"))
    return user, user.name, user.boss.name


# --- run ---
with Pool(1) as pool:
    for check in (
        first_of_all, made, columns, selected, refused, in_a_database, others, a_model_of_the_task,
    ):  # fmt: skip
        print(pool.run_parallel([check], None)[0].output.unwrap())
    boss = User(name="b")
    user, name, boss_name = pool.run_parallel([of_an_input], User(name="a", boss=boss))[
        0
    ].output.unwrap()
    print(
        type(user) is User,
        name,
        boss_name,
        user.posts,
        user.posts[0].author is user,
        user.boss.staff[0] is user,
    )
    user.name = "changed"
    print(user.name, user.initial, sa.inspect(user).transient, type(user.boss) is User)
    print(pool.run_parallel([of_an_input], User(name="a", boss=boss))[0].output.unwrap()[0].posts)
