"""How classes and objects of other libraries are taken apart, where pickle alone cannot do it.

Each module is about one library, and consults it only if the program has imported it.
Modules of `rebuild` with the same names are the other half, which runs in workers.
"""
