"""Finds the handler that the manifest names ("handler.handle").

The working directory is the package's `function` folder. The handler is imported as a part of the package `function`,
so that `from . import other` and `from function.other import x` work as they do in OpenFaaS's images; the folder
itself is on the path too, so that a plain `import other` works. Our own folder is not: a worker.py of ours must not hide
the handler's.
"""

import os
import sys

OURS = os.path.dirname(os.path.abspath(__file__))


def own(name):
    """Imports a module of ours, which the handler's path does not lead to."""
    sys.path.insert(0, OURS)
    try:
        return __import__(name)
    finally:
        sys.path.remove(OURS)


class ByteCode:
    """Keeps the byte code of the package's modules in the replica's own folder, which starts empty.

    Set for all modules, as PYTHONPYCACHEPREFIX does, the standard library would be compiled anew in each replica. A
    module's byte code is looked for right after its finders were asked; this one only ever sets where.
    """

    def __init__(self, cache, folders):
        self.cache = cache
        self.names = {"function"}
        for folder in folders:
            if os.path.isdir(folder):
                self.names.update(entry.partition(".")[0] for entry in os.listdir(folder))

    def find_spec(self, name, path=None, target=None):
        sys.pycache_prefix = self.cache if name.partition(".")[0] in self.names else None


def make_package(folder):
    """Makes `folder` the package `function` without a search: a function.py in it or in `deps` would be found first."""
    initial = os.path.join(folder, "__init__.py")
    if os.path.isfile(initial):
        from importlib.util import module_from_spec, spec_from_file_location
        spec = spec_from_file_location("function", initial, submodule_search_locations=[folder])
        package = sys.modules["function"] = module_from_spec(spec)
        if os.environ.get("FAAS_PYCACHE"):
            sys.pycache_prefix = os.environ["FAAS_PYCACHE"]
        spec.loader.exec_module(package)
    else:
        package = sys.modules["function"] = type(sys)("function")
        package.__path__ = [folder]


def load(entry_point):
    """Returns the callable named "module.function"."""
    module_name, _, function_name = entry_point.rpartition(".")
    folder = os.getcwd()
    dependencies = os.path.join(os.path.dirname(folder), "deps")
    sys.path[:] = [folder, dependencies] + [path for path in sys.path if path != OURS]
    if os.environ.get("FAAS_PYCACHE"):
        sys.meta_path.insert(0, ByteCode(os.environ["FAAS_PYCACHE"], [folder, dependencies]))
    if os.path.basename(folder) == "function":
        make_package(folder)
        module_name = "function." + module_name
    module = __import__(module_name, fromlist=[function_name])
    return getattr(module, function_name)
