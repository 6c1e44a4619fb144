"""Finds the handler that the manifest names ("handler.handle").

The working directory is the package's `function` folder. The handler is imported as a part of the package `function`,
so that `from . import other` and `from function.other import x` work as they do in OpenFaaS's images; the folder
itself is on the path too, so that a plain `import other` works. Our own folder is not: http.py must not hide `http`.
"""

import os
import sys


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
    module = __import__(module_name, fromlist=[function_name])
    return getattr(module, function_name)
