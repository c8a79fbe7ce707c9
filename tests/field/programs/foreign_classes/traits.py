"""A class with traits works in a task as one of a module does."""

# needs: traitlets
import traitlets

from enact_pool import Pool


class Traits(traitlets.HasTraits):
    number = traitlets.Int(3)
    name = traitlets.Unicode()
    items = traitlets.List(traitlets.Int())

    @traitlets.default("name")
    def _name(self):
        return "made"

    @traitlets.observe("number")
    def _seen(self, change):
        self.name = f"{change['old']}>{change['new']}"

    @traitlets.validate("number")
    def _valid(self, proposal):
        if proposal["value"] < 0:
            raise traitlets.TraitError("negative")
        return proposal["value"]


class MoreTraits(Traits):
    other = traitlets.Instance(Traits, ())


def traits(_):
    t = Traits()
    first = t.name, t.number, t.items
    t.number = 5
    try:
        t.number = -1
    except traitlets.TraitError as e:
        error = str(e)
    m = MoreTraits(number=7)
    try:
        m.items = ["x"]
    except traitlets.TraitError as e:
        error += str(e)[:50]
    return (
        first,
        t.name,
        error,
        m.other.name,
        sorted(m.traits()),
        m.has_trait("other"),
        MoreTraits.class_trait_names(),
        m.name,
    )


def of_an_input(value):
    return value


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([traits], None)[0].output.unwrap())
    back = pool.run_parallel([of_an_input], MoreTraits(number=4))[0].output.unwrap()
    print(type(back) is MoreTraits, back.number, back.name)
