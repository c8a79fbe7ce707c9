"""Modules that only the caller has, imported inside functions."""

# expect: Ok(3)
# expect: Ok('child')
# expect: Ok('child')
import sys
import types

from enact_pool import Pool

made = types.ModuleType("made_here")
made.V = 3
sys.modules["made_here"] = made
package = types.ModuleType("package_here")
package.__path__ = []
sys.modules["package_here"] = package
child = types.ModuleType("package_here.child")
child.name = "child"
package.child = child
sys.modules["package_here.child"] = child


def value(_):
    import made_here

    return made_here.V


def name(_):
    from package_here.child import name

    return name


def name_of_attribute(_):
    import package_here.child

    return package_here.child.name


with Pool(1) as pool:
    for function in (value, name, name_of_attribute):
        print(pool.run_parallel([function], 0)[0].output)
