"""How a script's definitions and globals are sent to workers, and how results refer to them.

A worker imports a module by its name. It cannot import the caller's `__main__`, or a module that
only the caller has. Each of these is a *scope*, and each worker has a *mirror* of it: a module
with the same name, in which functions and classes behave as if they were imported.

    caller                                          worker
    ------                                          ------
    scopes       modules that are sent              copies           the mirrors; each object is
    definitions  their objects that have keys                        made when it is first needed
    pickler      refers to definitions by key       rebuild          makes functions and classes
    snapshot     what changed since it was sent     result_pickling  refers to definitions by key

A function, class or global object has a *key*, which is unique over all processes. Pickles
contain the key, in both directions. So a worker has one copy of each object, which keeps its
state between tasks, and results in the caller contain the caller's own objects, not copies.

Some libraries make classes in C, or keep a registry of them. `caller.libraries` takes these classes
and their objects apart, and modules of `rebuild` make them.

`registry` is the table of keys, the same on both sides.
"""
