"""How functions, classes and other objects are made from their parts.

Pickles contain calls of the functions in these modules: `make_...` makes an object from values
that must be complete, `set_...` sets what the object refers to. They run in a worker for the
caller's definitions, and in the caller for definitions that exist only in a worker. No class
body, hook or metaclass of the user's is run: the effects of these are among the parts of a class.

A process imports only the modules that its pickles name. The modules that are named after a
library make the classes of that library, and import the library with the first class.
"""
