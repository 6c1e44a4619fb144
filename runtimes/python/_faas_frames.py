"""Frames of the worker protocol (docs/reference/worker-protocol.md), which come in on descriptor 0.

Only what every interpreter start has loaded anyway is imported, or what costs next to nothing: this is a part of every
cold start.
"""

import os
import sys
from _struct import Struct
from _thread import allocate_lock

HELLO, HEAD, BODY, ABORT, ACK, LOG, RUN, EXIT = range(1, 9)
END, USAGE, STDERR, LEFT = 1, 2, 1, 1
WINDOW = 256 << 10
MAX_PAYLOAD = 2 << 20
HEADER = Struct("!BBII")
NUMBER = Struct("!I")
USED = Struct("!QQ")
EXITED = Struct("!iQQ")


class Gone(BaseException):
    """The watchdog has closed its end."""


def broken(what):
    """The watchdog broke the protocol: there is nobody to work for."""
    os.write(2, ("worker protocol: %s\n" % what).encode())
    os._exit(1)


class Channel:
    """Reads and writes whole frames; several threads may write. Takes the socket away from descriptor 0, so that neither
    the handler nor what it starts can read from it."""

    def __init__(self):
        self.socket = os.dup(0)
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        self.buffer = b""
        self.lock = allocate_lock()
        self.call = 0

    def more(self):
        """Reads what has come; returns when there is something."""
        data = os.read(self.socket, 65536)
        if not data:
            raise Gone
        self.buffer = self.buffer + data if self.buffer else data

    def take(self):
        """Kind, flags, call and payload of the next frame, or None while it is not there whole."""
        buffer = self.buffer
        if len(buffer) < 10:
            return None
        kind, flags, call, length = HEADER.unpack_from(buffer)
        if length > MAX_PAYLOAD or not HELLO <= kind <= EXIT:
            broken("a frame of kind %d with %d bytes" % (kind, length))
        end = 10 + length
        if len(buffer) < end:
            return None
        self.buffer = buffer[end:]
        return kind, flags, call, buffer[10:end]

    def frame(self):
        """The next frame."""
        while True:
            frame = self.take()
            if frame is not None:
                return frame
            self.more()

    def send(self, kind, flags, call, payload):
        data = HEADER.pack(kind, flags, call, len(payload)) + payload
        with self.lock:
            self.write(data)

    def write(self, data):
        while data:
            try:
                data = data[os.write(self.socket, data):]
            except BlockingIOError:
                wait_until_writable(self.socket)
            except BrokenPipeError:
                raise Gone from None

    def hello(self, **abilities):
        lines = ["version: 1"] + ["%s: %s" % ability for ability in abilities.items()]
        self.send(HELLO, 0, 0, "\n".join(lines).encode())


def wait_until_writable(descriptor):
    """For an event loop's socket, which does not block. The watchdog always reads on, so this is brief."""
    import select
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


def redirect_output(channel):
    """What is printed from here on becomes log lines of the call that runs."""
    import io

    class Log(io.RawIOBase):
        def __init__(self, descriptor, flags):
            self.descriptor = descriptor
            self.flags = flags

        def writable(self):
            return True

        def fileno(self):
            return self.descriptor

        def write(self, data):
            text = bytes(data)
            # A write is a line or several, with its end, unless somebody flushed in the middle of one.
            lines = text[:-1] if text.endswith(b"\n") else text
            for start in range(0, max(len(lines), 1), MAX_PAYLOAD):
                channel.send(LOG, self.flags, channel.call, lines[start:start + MAX_PAYLOAD])
            return len(text)

    def stream(descriptor, flags):
        buffered = io.BufferedWriter(Log(descriptor, flags), 64 << 10)
        return io.TextIOWrapper(buffered, encoding="utf-8", errors="backslashreplace", line_buffering=True)

    sys.stdout.flush()
    sys.stderr.flush()
    sys.stdout = stream(1, 0)
    sys.stderr = stream(2, STDERR)
