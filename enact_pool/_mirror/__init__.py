"""How a script's definitions and globals reach workers, and how results find their way back.

A worker imports a module by its name. It cannot import the caller's `__main__`, nor a module
that only the caller has. Each of these is a *scope*, and each worker has a *mirror* of it: a
module with the same name, in which functions and classes behave as if they were imported.

    caller                                            worker
    ------                                            ------
    scopes       what the caller has: definitions,    copies    the mirrors: what was sent,
                 and the globals that they name                 made when it is first needed
    pickler      refers to these by keys              rebuild   makes functions and classes
    snapshot     what changed since it was sent       results   refer to these by keys

A function, class or global object has a *key*, which is unique over all processes. Pickles
name the key, in both directions. So a worker has one copy of each object, which keeps its
state between tasks, and the caller gets its own objects back: nothing is ever rebuilt there.

Some libraries make classes in C, or keep a registry of them: `foreign_classes` takes these apart,
`foreign_values` does so for objects of these libraries, and modules of `rebuild` make both.

`registry` is the table of keys, the same on both sides.
"""
