"""Holds a handler and serves calls to it: docs/reference/worker-protocol.md.

    python3 worker.py SIGNATURE HANDLER

SIGNATURE is `http`: handle(event, context), also `async def`; or `openfaas`: handle(req). HANDLER is `module.function`.
The working directory is the function's folder. `worker_isolation` says what a call has to itself: nothing, a forked
process, or one that is started for it. A handler that does not import ends the process with its traceback.
"""

import os
import sys

from _faas_entry import load, own
from _faas_frames import Channel, Gone, redirect_output


def parse_size(variable, fallback):
    """A size as node's runtime reads it too: "100kb", "1.5mb", "1000"."""
    text = os.environ.get(variable, "").strip().lower()
    if not text:
        return fallback
    number = text.rstrip("bkmg")
    factor = {"": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}.get(text[len(number):].strip())
    digits = number.strip().split(".")
    if factor is None or len(digits) > 2 or not all(part.isascii() and part.isdigit() for part in digits):
        sys.exit("%s is %r: expected a size such as 1000, 100kb or 64mb" % (variable, os.environ[variable]))
    return int(float(number) * factor)


def is_async(handle):
    """Of a plain function, without importing inspect."""
    code = getattr(handle, "__code__", None)
    return code is not None and bool(code.co_flags & 0x80)


def serve_frames(channel, handle, once):
    """Calls as frames in this process."""
    calls = own("_faas_async" if is_async(handle) else "_faas_calls")
    context = own("_faas_event").Context()
    server = calls.Server(channel, handle, context, parse_size("MAX_BODY_BYTES", 64 << 20))
    channel.hello(concurrency=1 if once else server.concurrency)
    redirect_output(channel)
    server.serve(once)


def serve_processes(channel, child, **abilities):
    """Each call has a process that is forked from this one."""
    channel.hello(forks="yes", **abilities)
    own("_faas_stdio").ForkServer(channel, child).serve()


def main():
    signature, entry_point = sys.argv[1:]
    isolation = os.environ.get("worker_isolation", "worker")
    channel = Channel()
    handle = load(entry_point)
    stdio = own("_faas_stdio")
    forks = isolation == "fork" and not stdio.has_threads()
    if signature == "openfaas" and isolation == "worker":
        handle = own("_faas_printed").adapt(handle)
    elif signature == "openfaas":
        if forks:
            serve_processes(channel, lambda: stdio.run_once(handle), speaks="stdio")
        stdio.serve_one(channel, lambda: stdio.run_once(handle))
    if forks:
        serve_processes(channel, lambda: serve_frames(Channel(), handle, True))
    serve_frames(channel, handle, isolation != "worker")
    stdio.leave(0)


if __name__ == "__main__":
    try:
        main()
    except Gone:
        os._exit(0)
