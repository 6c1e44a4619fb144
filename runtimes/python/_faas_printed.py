"""`handle(req)` in a process that lives on: what is printed is the answer's beginning, what is returned its end.

For `worker_isolation=worker` only: output of C code and of child processes is logged instead of answered, and
variables of a request are seen by what other threads do at that time.
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
        os.environb.update(variables)
        sys.stdout, sys.stderr = output, output if combine else sys.stderr
        try:
            status = print_result(handle, event.body)
        finally:
            sys.stdout, sys.stderr = streams
            for name in variables:
                del os.environb[name]
        output.flush()
        body = printed.getvalue()
        if status:
            return ("exit status %d\n" % status).encode() + body, 500, {"content-type": "text/plain; charset=utf-8"}
        kind = forced or event.headers.get("content-type")
        return body, {"content-type": kind or "text/plain; charset=utf-8"}

    return run


def variables_of(event):
    """As the classic watchdog has them."""
    variables = {b"Http_Method": event.method.encode(), b"Http_Path": os.fsencode(event.path)}
    query = event.query_text
    if query:
        variables[b"Http_Query"] = query.encode("latin-1")
    for name, value in event.headers.items():
        if "\0" not in value:
            variables[b"Http_" + name.replace("-", "_").encode()] = value.encode("latin-1")
    variables[b"Http_ContentLength"] = variables[b"Http_Content_Length"] = str(len(event.body)).encode()
    return variables
