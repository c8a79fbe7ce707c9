"""Decoders and encoders of msgspec, constraints, and structs with a hook, work in a task."""

# needs: msgspec
from typing import Annotated, ClassVar

import msgspec

from enact_pool import Pool


def enc(v):
    if isinstance(v, complex):
        return [v.real, v.imag]
    raise NotImplementedError


def dec(t, v):
    return complex(*v) if t is complex else v


Positive = Annotated[int, msgspec.Meta(gt=0, title="P", examples=[1])]


class S(msgspec.Struct):
    a: Positive
    name: Annotated[str, msgspec.Meta(pattern="^a", max_length=3)] = "a"
    b: int | msgspec.UnsetType = msgspec.UNSET
    c: complex = 1j
    inner: "list[S]" = []


class Hooked(msgspec.Struct):
    kinds: ClassVar[list] = []

    def __init_subclass__(cls, **kw):
        super().__init_subclass__(**kw)
        cls.kinds.append(cls.__name__)


class Sub(Hooked, frozen=True, cache_hash=True):
    a: Positive
    b: tuple = ()

    @property
    def double(self):
        return self.a * 2


ENC = msgspec.json.Encoder(enc_hook=enc, order="sorted")
DEC = msgspec.json.Decoder(S, dec_hook=dec, strict=False)
MENC = msgspec.msgpack.Encoder(enc_hook=enc)
MDEC = msgspec.msgpack.Decoder(list[S], dec_hook=dec)
ANY = msgspec.json.Decoder()


def use(_):
    s = S(3)
    out = [
        s.b is msgspec.UNSET,
        ENC.encode(s),
        DEC.decode(b'{"a":"4","c":[1,2],"inner":[{"a":2}]}'),
        MDEC.decode(MENC.encode([s])),
        ANY.decode(b"[1]"),
        msgspec.json.schema(Positive),
    ]
    for t in (b'{"a":0}', b'{"a":1,"name":"b"}'):
        try:
            DEC.decode(t)
        except msgspec.ValidationError as e:
            out.append(str(e))
    return out


def hooked(_):
    return Hooked.kinds, Sub(3).double, hash(Sub(1)) == hash(Sub(1)), Sub.__mro__[1] is Hooked


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([hooked], None)[0].output.unwrap())
    print(pool.run_parallel([use], None)[0].output.unwrap())
