"""Calls as frames, one at a time: the handler runs in the main thread, and nothing stands between it and the socket.

Bounds: a body of MAX_BODY_BYTES, 64 MiB unless set (413), when it is read as a whole; any size through `event.stream`.
Errors: a handler that raises anything at all, SystemExit included, gets 500, and its traceback is logged.
"""

import sys
from resource import RUSAGE_SELF, getrusage

from _faas_event import PLAIN, Event, Refused, to_answer, to_bytes, to_head
from _faas_frames import ABORT, ACK, BODY, END, HEAD, NUMBER, USAGE, USED, WINDOW, Gone, broken

PIECE = 64 << 10


class Aborted(BaseException):
    """The caller has gone, or the time is over."""


class Call:
    """One call. As the event's `stream` it is the request's body, read as it comes: `read()` has all of it, `read(n)` at
    most n bytes, b"" is the end; it can be iterated over."""

    __slots__ = ("channel", "number", "max_body", "first", "ended", "taken", "room", "begun", "is_head")

    def __init__(self, channel, number, max_body, first, ended):
        self.channel = channel
        self.number = number
        self.max_body = max_body
        # The body's bytes that are here, and whether they are its last.
        self.first = first
        self.ended = ended
        # Bytes that were read and not acknowledged, bytes that may be sent.
        self.taken = 0
        self.room = WINDOW
        self.begun = False

    def wait(self):
        """Takes one frame, whatever it brings."""
        kind, flags, number, payload = self.channel.frame()
        if number != self.number:
            return
        if kind == BODY:
            self.first += payload
            self.ended = bool(flags & END)
        elif kind == ACK:
            self.room += NUMBER.unpack(payload)[0]
        elif kind == ABORT:
            raise Aborted
        else:
            broken("a frame of kind %d in a call" % kind)

    def read(self, size=-1):
        if size is None or size < 0:
            return b"".join(self)
        while size and not self.first and not self.ended:
            self.wait()
        data, self.first = self.first[:size], self.first[size:]
        self.taken += len(data)
        if self.taken >= WINDOW // 2 and not self.ended:
            self.channel.send(ACK, 0, self.number, NUMBER.pack(self.taken))
            self.taken = 0
        return data

    def __iter__(self):
        return iter(lambda: self.read(WINDOW), b"")

    def whole(self):
        """The body's bytes."""
        parts, size = [], 0
        if self.ended:
            parts, size = [self.first], len(self.first)
        else:
            for part in self:
                parts.append(part)
                size += len(part)
                if size > self.max_body:
                    break
        if size > self.max_body:
            raise Refused(413, "body too large")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def answer(self, status, pairs, body, content_type):
        """Sends an answer whose body is bytes, or an iterator over bytes or text."""
        whole = isinstance(body, bytes)
        head = to_head(status, pairs, content_type, len(body) if whole and self.is_head else None)
        if self.is_head or status in (204, 304):
            body, whole = b"", True
        payload = NUMBER.pack(len(head)) + head
        if whole and len(body) <= WINDOW:
            self.end(HEAD, payload + body)
            return
        self.begun = True
        self.channel.send(HEAD, 0, self.number, payload)
        for part in (body,) if whole else body:
            self.send(to_bytes(part))
        self.end(BODY, b"")

    def send(self, body):
        start = 0
        while start < len(body):
            while self.room <= 0:
                self.wait()
            piece = body[start:start + min(self.room, PIECE)]
            self.room -= len(piece)
            start += len(piece)
            self.channel.send(BODY, 0, self.number, piece)

    def end(self, kind, payload):
        flush()
        self.channel.send(kind, END | USAGE, self.number, payload + used())

    def abort(self, reason):
        flush()
        self.channel.send(ABORT, 0, self.number, reason)

    def refuse(self, status, text):
        head = ("%d\ncontent-type: %s" % (status, PLAIN)).encode()
        self.end(HEAD, NUMBER.pack(len(head)) + head + text.encode())


class Server:
    """Runs calls until the watchdog leaves."""

    concurrency = 1

    def __init__(self, channel, handle, context, max_body):
        self.channel = channel
        self.handle = handle
        self.context = context
        self.max_body = max_body

    def serve(self, once):
        channel = self.channel
        used()
        while True:
            kind, flags, number, payload = channel.frame()
            if kind == HEAD:
                start = 4 + NUMBER.unpack_from(payload)[0]
                call = Call(channel, number, self.max_body, payload[start:], flags & END)
                channel.call = number
                self.run(call, Event(payload[4:start], call))
                channel.call = 0
                if once:
                    return
            elif kind not in (BODY, ABORT, ACK):
                broken("a frame of kind %d" % kind)
            # The others are about a call that is over.

    def run(self, call, event):
        call.is_head = event.method == "HEAD"
        try:
            call.answer(*to_answer(self.handle(event, self.context)))
        except Refused as refused:
            if call.begun:
                call.abort(str(refused).encode())
            else:
                call.refuse(refused.status, "%s\n" % refused)
        except Aborted:
            call.abort(b"aborted")
        except Gone:
            raise
        except BaseException as error:
            self.fail(call, error)

    def fail(self, call, error):
        import traceback
        traceback.print_exc()
        if call.begun:
            call.abort(type(error).__name__.encode())
        else:
            call.refuse(500, "Internal Server Error\n")


def flush():
    """What was printed belongs before the end of the call."""
    sys.stdout.flush()
    sys.stderr.flush()


def usage_since(before):
    """Usage since so many seconds of processor time, with the peak of memory; and the seconds so far."""
    usage = getrusage(RUSAGE_SELF)
    now = usage.ru_utime + usage.ru_stime
    return USED.pack(int((now - before) * 1e6), usage.ru_maxrss << 10), now


spent = 0


def used():
    """Usage since the last call's end."""
    global spent
    usage, spent = usage_since(spent)
    return usage
