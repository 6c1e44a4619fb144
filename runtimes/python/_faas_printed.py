"""`handle(req)` in a process that lives on: what is printed is the answer's beginning, what is returned its end.

For `worker_isolation=worker` only: output of C code and of child processes is logged instead of answered, and
variables of a request are in os.environ alone, where other threads see them too, and child processes do not: the C
library would keep every value that it was ever given.
"""

import io
import os
import sys

from _faas_stdio import print_result


def adapt(handle):
    """The handler as handle(event, context)."""
    combine = os.environ.get("combine_output", "true") in ("true", "1")
    forced = os.environ.get("content_type")

    def run(event, _context):
        printed = io.BytesIO()
        output = io.TextIOWrapper(printed, encoding="utf-8", errors="surrogateescape", newline="\n")
        streams = sys.stdout, sys.stderr
        variables = variables_of(event)
        environment = os.environ._data
        before = dict(environment)
        environment.update(variables)
        sys.stdout, sys.stderr = output, output if combine else sys.stderr
        try:
            status = print_result(handle, event.body)
        finally:
            sys.stdout, sys.stderr = streams
            for name in variables:
                environment.pop(name, None)
                if name in before:
                    environment[name] = before[name]
        output.flush()
        body = printed.getvalue()
        if status:
            return ("exit status %d\n" % status).encode() + body, 500, {"content-type": "text/plain; charset=utf-8"}
        kind = forced or event.headers.get("content-type")
        return body, {"content-type": kind or "text/plain; charset=utf-8"}

    return run


def variables_of(event):
    """As the classic watchdog has them."""
    variables = {b"Http_Method": event.method.encode(), b"Http_Path": event.path.encode("utf-8", "surrogateescape").replace(b"\0", b"%00")}
    query = event.query_text
    if query:
        variables[b"Http_Query"] = query.encode("latin-1")
    for name, value in event.lines():
        name = "Http_" + "_".join(part.capitalize() for part in name.split("-"))
        # Of a header that came several times, the first.
        variables.setdefault(name.encode(), value.encode("latin-1"))
    variables[b"Http_ContentLength"] = variables[b"Http_Content_Length"] = str(len(event.body)).encode()
    return variables
