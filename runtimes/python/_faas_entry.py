"""Finds the handler that the manifest names ("handler.handle").

The working directory is the package's `function` folder. The handler is imported as a part of the package `function`,
so that `from . import other` and `from function.other import x` work as they do in OpenFaaS's images; the folder
itself is on the path too, so that a plain `import other` works. Our own folder is not: http.py must not hide `http`.
"""

import os
import sys


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


def load(entry_point):
    """Returns the callable named "module.function"."""
    module_name, _, function_name = entry_point.rpartition(".")
    folder = os.getcwd()
    root = os.path.dirname(folder)
    dependencies = os.path.join(root, "deps")
    ours = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [folder, dependencies] + [path for path in sys.path if path != ours]
    if os.path.basename(folder) == "function":
        sys.path.insert(0, root)
        module_name = "function." + module_name
    if os.environ.get("FAAS_PYCACHE"):
        sys.meta_path.insert(0, ByteCode(os.environ["FAAS_PYCACHE"], [folder, dependencies]))
    module = __import__(module_name, fromlist=[function_name])
    return getattr(module, function_name)
