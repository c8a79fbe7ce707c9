"""An instance whose class has a cached property can be an input and a result."""

# expect: Ok(['a', 'b'])
# expect: Ok(['c'])
# expect: True {'text': 'a b', 'words': ['a', 'b']}
from functools import cached_property

from enact_pool import Pool


class Document:
    def __init__(self, text):
        self.text = text

    @cached_property
    def words(self):
        return self.text.split()


def words(document):
    return document.words


def made(text):
    return Document(text).words


def filled(document):
    document.words  # noqa: B018 - this fills the cache
    return document


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([words], Document("a b"))[0].output)
    print(pool.run_parallel([made], "c")[0].output)
    back = pool.run_parallel([filled], Document("a b"))[0].output.unwrap()
    print(type(back) is Document, vars(back))
