"""One request, one interpreter, as OpenFaaS's classic python3 images have it: `handler.handle(req)` prints its answer.

The working directory is the function's folder.
"""

import os
import sys

sys.path.insert(0, os.getcwd())
import handler  # noqa: E402

answer = handler.handle(sys.stdin.read())
if answer is not None:
    print(answer)
