"""The caller's side of the mirror: its definitions, how they are pickled, and what has changed.

A worker that starts workers of its own is a caller, too.

A module imports only modules of its own line and of the lines above it:

    importable, patches                    which modules workers can import
    definition, items, delivery            what is sent, and what each worker has received
    scopes, definitions, needs             the tables of this process, and what a pickle requires
    process_bound, functions, libraries    how objects are taken apart
    pickler, pickling, parts               callables, inputs and definitions as bytes
    definition_pickler, changes, records   what was sent of definitions, and what has changed since
    bindings, sweeping                     the same for globals
    process_state                          the state of the process, in parts
    snapshot, manifests                    what one run or call requires of its workers
"""
