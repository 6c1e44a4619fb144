"""`handle(event, context)` behind HTTP/1.1 on the Unix socket FAAS_HTTP_SOCKET, or on 127.0.0.1 at `http_port`.

The only client is the watchdog, so a connection is a thread, and how many there are is the watchdog's `max_inflight`.
`http.server` and `asyncio` are not used: importing one costs 50 ms at every cold start, `socket` costs 7.

Bounds: a head of 1 MiB and 1,000 headers (431), a body of MAX_BODY_BYTES, 64 MiB unless set (413).
Errors: a request that is not well-formed gets 400 and the connection closes; a handler that raises gets 500, and its
traceback goes to standard error. A handler that does not import ends the process before it listens.
On SIGTERM the process ends as soon as no connection is open: the watchdog closes them when it has drained.
"""

import os
import signal
import socket
import sys
import threading

from _faas_entry import load

MAX_HEAD_BYTES = 1 << 20
MAX_HEADERS = 1000
MAX_LINE_BYTES = 4096
TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# Threads' stacks count towards a memory limit; 1,000 nested calls, Python's own limit, take about half of this.
STACK_BYTES = 2 << 20
REASONS = {200: "OK", 400: "Bad Request", 413: "Content Too Large", 431: "Request Header Fields Too Large",
           500: "Internal Server Error", 501: "Not Implemented", 505: "HTTP Version Not Supported"}
OURS = ("connection", "content-length", "keep-alive", "transfer-encoding")


class Refused(Exception):
    """A request that is answered without the handler, and ends its connection."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Headers(dict):
    """Header names are written as `Content-Type` and found in any case; repeated headers are joined."""

    def __getitem__(self, name):
        return super().__getitem__(name.title())

    def __contains__(self, name):
        return super().__contains__(name.title())

    def get(self, name, default=None):
        return super().get(name.title(), default)

    def add(self, name, value):
        name = name.title()
        known = super().get(name)
        separator = "; " if name == "Cookie" else ", "
        super().__setitem__(name, value if known is None else known + separator + value)


class Query(dict):
    """The first value of each parameter; `getlist` has all of them."""

    def __init__(self, text):
        from urllib.parse import parse_qs
        self._values = parse_qs(text, keep_blank_values=True)
        super().__init__((name, values[0]) for name, values in self._values.items())

    def getlist(self, name):
        return self._values.get(name, [])


class Event:
    """A request: body (bytes), headers, method, query, path."""

    def __init__(self, method, target, headers, body):
        self.method = method
        self.headers = headers
        self.body = body
        self._path, _, self._query_text = target.partition("?")
        self._query = None

    @property
    def path(self):
        if "%" not in self._path:
            return self._path
        from urllib.parse import unquote
        return unquote(self._path)

    @property
    def query(self):
        if self._query is None:
            self._query = Query(self._query_text)
        return self._query


class Context:
    """Where the function runs."""

    def __init__(self):
        self.hostname = os.environ.get("HOSTNAME", "localhost")


class Connection:
    """Reads requests from one socket."""

    def __init__(self, stream, max_body):
        self.stream = stream
        self.max_body = max_body
        self.buffer = bytearray()

    def more(self):
        """Reads what has come; False at the end of the stream."""
        data = self.stream.recv(65536)
        self.buffer += data
        return bool(data)

    def take(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise Refused(400, "body cut short")
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def take_line(self, limit):
        while True:
            end = self.buffer.find(b"\r\n")
            if end > limit or (end < 0 and len(self.buffer) > limit):
                raise Refused(400, "line too long")
            if end >= 0:
                line = bytes(self.buffer[:end])
                del self.buffer[:end + 2]
                return line
            if not self.more():
                raise Refused(400, "body cut short")

    def head(self):
        """The bytes of the next head; None when the client has left."""
        searched = 0
        while True:
            end = self.buffer.find(b"\r\n\r\n", searched)
            if end > MAX_HEAD_BYTES or (end < 0 and len(self.buffer) > MAX_HEAD_BYTES):
                raise Refused(431, "head too large")
            if end >= 0:
                head = bytes(self.buffer[:end])
                del self.buffer[:end + 4]
                return head
            searched = max(0, len(self.buffer) - 3)
            if not self.more():
                if self.buffer:
                    raise Refused(400, "head cut short")
                return None

    def request(self):
        """The next request and whether the connection stays open after it; None when the client has left."""
        head = self.head()
        if head is None:
            return None
        method, target, keep, headers = parse_head(head)
        lengths = headers.get("Content-Length")
        if "Transfer-Encoding" in headers:
            if lengths is not None:
                raise Refused(400, "two framings")
            if headers["Transfer-Encoding"].lower() != "chunked":
                raise Refused(501, "unknown transfer encoding")
            self.go_on(headers)
            body = self.chunked()
        else:
            length = parse_length(lengths)
            if length > self.max_body:
                raise Refused(413, "body too large")
            if length:
                self.go_on(headers)
            body = self.take(length)
        return Event(method, target, headers, body), keep

    def go_on(self, headers):
        if headers.get("Expect", "").lower() == "100-continue":
            self.stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def chunked(self):
        parts = []
        size = 0
        while True:
            text = self.take_line(MAX_LINE_BYTES).split(b";", 1)[0].strip(b" \t")
            if not 0 < len(text) <= 16 or text.strip(b"0123456789abcdefABCDEF"):
                raise Refused(400, "bad chunk size")
            length = int(text, 16)
            if length == 0:
                break
            size += length
            if size > self.max_body:
                raise Refused(413, "body too large")
            parts.append(self.take(length))
            if self.take(2) != b"\r\n":
                raise Refused(400, "bad chunk")
        for _ in range(MAX_HEADERS):
            if not self.take_line(MAX_LINE_BYTES):
                return b"".join(parts)
        raise Refused(431, "too many trailers")


def parse_head(head):
    """Method, target, whether the connection stays open, headers."""
    lines = head.split(b"\r\n")
    words = lines[0].split(b" ")
    if len(words) != 3 or not words[0] or not TOKEN.issuperset(words[0]) or not words[1]:
        raise Refused(400, "bad request line")
    if words[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Refused(505, "bad version")
    if any(byte <= 32 or byte == 127 for byte in words[1]):
        raise Refused(400, "bad target")
    if len(lines) > MAX_HEADERS + 1:
        raise Refused(431, "too many headers")
    headers = Headers()
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or not TOKEN.issuperset(name):
            raise Refused(400, "bad header name")
        if b"\r" in value or b"\n" in value or b"\0" in value:
            raise Refused(400, "bad header value")
        headers.add(name.decode("ascii"), value.strip(b" \t").decode("latin-1"))
    connection = headers.get("Connection", "").lower()
    keep = "close" not in connection and (words[2] == b"HTTP/1.1" or "keep-alive" in connection)
    return words[0].decode("ascii"), words[1].decode("latin-1"), keep, headers


def parse_length(text):
    if text is None:
        return 0
    lengths = {part.strip() for part in text.split(",")}
    length = lengths.pop()
    if lengths or not length.isascii() or not length.isdigit() or len(length) > 18:
        raise Refused(400, "bad content length")
    return int(length)


def to_bytes(body):
    """The body's bytes, and its content type unless the handler names one."""
    if body is None:
        return b"", "text/html; charset=utf-8"
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body), "text/html; charset=utf-8"
    if isinstance(body, (dict, list)):
        import json
        return json.dumps(body).encode(), "application/json"
    return str(body).encode("utf-8", "surrogateescape"), "text/html; charset=utf-8"


def to_answer(result):
    """Status, body and headers of what a handler returned, in the forms that Flask and OpenFaaS's template know."""
    status, headers = 200, {}
    if isinstance(result, dict) and ("statusCode" in result or "body" in result or "headers" in result):
        status = result.get("statusCode", 200)
        headers = result.get("headers") or {}
        result = result.get("body")
    elif isinstance(result, tuple):
        if len(result) not in (2, 3):
            raise TypeError("the handler returned a tuple of %d: expected (body, status), (body, headers) or "
                            "(body, status, headers)" % len(result))
        result, *rest = result
        for part in rest:
            if isinstance(part, (dict, list)):
                headers = part
            else:
                status = part
    pairs = list(headers.items() if hasattr(headers, "items") else headers)
    body, content_type = to_bytes(result)
    return int(status), body, pairs, content_type


def render(status, body, pairs, content_type, keep, method):
    """The bytes of an answer."""
    if not 200 <= status <= 999:
        raise ValueError("the handler returned status %r: expected 200 to 999" % status)
    lines = ["HTTP/1.1 %d %s" % (status, REASONS.get(status, ""))]
    typed = False
    for name, values in pairs:
        name = str(name)
        if not name or not TOKEN.issuperset(name.encode()):
            raise ValueError("the handler returned a header named %r" % name)
        if name.lower() in OURS:
            continue
        typed = typed or name.lower() == "content-type"
        for value in values if isinstance(values, (list, tuple)) else [values]:
            value = str(value)
            if "\r" in value or "\n" in value or "\0" in value:
                raise ValueError("the handler returned a line break in header %r" % name)
            lines.append("%s: %s" % (name, value))
    bodiless = status in (204, 304)
    if not bodiless:
        if not typed:
            lines.append("Content-Type: " + content_type)
        lines.append("Content-Length: %d" % len(body))
    if not keep:
        lines.append("Connection: close")
    head = "\r\n".join(lines + ["", ""]).encode("latin-1", "replace")
    return head if bodiless or method == "HEAD" else head + body


def invoke(handle, context, event, keep):
    try:
        return render(*to_answer(handle(event, context)), keep, event.method)
    except BaseException:  # A handler's sys.exit() ends its request, not the others'.
        import traceback
        traceback.print_exc()
        body = b"Internal Server Error\n"
        return render(500, body, [], "text/plain; charset=utf-8", keep, event.method)


class Server:
    """Accepts connections, a thread each, until told to end and the last one is closed."""

    def __init__(self, handle, max_body):
        self.handle = handle
        self.max_body = max_body
        self.context = Context()
        self.lock = threading.Lock()
        self.open = 0
        self.ending = False

    def serve(self, listener):
        signal.signal(signal.SIGTERM, self.on_signal)
        while True:
            stream, _ = listener.accept()
            with self.lock:
                self.open += 1
            try:
                threading.Thread(target=self.run, args=(stream,), daemon=True).start()
            except RuntimeError as error:
                # No memory for another thread: this client is told so by the close, the others go on.
                print("a connection was refused: %s" % error, file=sys.stderr)
                self.closed(stream)

    def on_signal(self, _number, _frame):
        # Runs in the main thread, which holds the lock at most for an instruction that a handler may interrupt: so
        # the count is read without it.
        self.ending = True
        if self.open == 0:
            sys.exit(0)

    def closed(self, stream):
        stream.close()
        with self.lock:
            self.open -= 1
            last = self.ending and self.open == 0
        if last:
            os.kill(os.getpid(), signal.SIGTERM)

    def run(self, stream):
        try:
            self.converse(Connection(stream, self.max_body))
        except OSError:
            pass  # The client left.
        finally:
            self.closed(stream)

    def converse(self, connection):
        try:
            while True:
                request = connection.request()
                if request is None:
                    return
                event, keep = request
                connection.stream.sendall(invoke(self.handle, self.context, event, keep))
                if not keep:
                    return
        except Refused as refused:
            body = ("%s\n" % refused).encode()
            answer = render(refused.status, body, [], "text/plain; charset=utf-8", False, "GET")
            connection.stream.sendall(answer)
            self.linger(connection)

    def linger(self, connection):
        """Reads on for a moment: a close with unread bytes would take the answer back."""
        connection.stream.shutdown(socket.SHUT_WR)
        connection.stream.settimeout(1)
        for _ in range(64):
            connection.buffer.clear()
            if not connection.more():
                return


def listen():
    path = os.environ.get("FAAS_HTTP_SOCKET")
    if path:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if os.path.exists(path):
            os.unlink(path)
        listener.bind(path)
    else:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(os.environ["http_port"])))
    listener.listen(1024)
    return listener


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


def main():
    # What a handler prints is its log, line by line, not when the pipe's buffer is full.
    sys.stdout.reconfigure(line_buffering=True)
    max_body = parse_size("MAX_BODY_BYTES", 64 << 20)
    handle = load(sys.argv[1])
    threading.stack_size(STACK_BYTES)
    server = Server(handle, max_body)
    server.serve(listen())


if __name__ == "__main__":
    main()
