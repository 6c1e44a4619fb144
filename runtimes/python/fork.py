"""One request, one process: the body on standard input, what `handle(req)` returns printed with a newline.

What the handler prints is part of the answer; None prints nothing. An exception leaves its traceback on standard error
and exit status 1. Only what every interpreter start has loaded anyway is imported: this runs once a request.
"""

import sys

from _faas_entry import load


def main():
    # Bytes that are not UTF-8 pass through unharmed, and line ends are not translated.
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    handle = load(sys.argv[1])
    result = handle(sys.stdin.buffer.read().decode("utf-8", "surrogateescape"))
    if isinstance(result, (bytes, bytearray)):
        sys.stdout.flush()
        sys.stdout.buffer.write(result + b"\n")
    elif result is not None:
        print(result)


if __name__ == "__main__":
    main()
