"""`handle(event, context)`: what a handler is given, and what is made of what it returns.

The shapes are those of OpenFaaS's python3-http template. What is not looked at costs nothing: headers and query are
parsed when they are asked for.
"""

import os

TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
PLAIN = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"


class Refused(Exception):
    """A request that is answered without the handler, or in its place."""

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
    """A request: body (bytes), headers, method, query, path; `stream` reads a large body piece by piece."""

    __slots__ = ("method", "stream", "_target", "_lines", "_headers", "_query", "_body")

    def __init__(self, head, stream):
        first, _, self._lines = head.decode("latin-1").partition("\n")
        self.method, _, self._target = first.partition(" ")
        self.stream = stream
        self._headers = self._query = self._body = None

    @property
    def headers(self):
        if self._headers is None:
            self._headers = Headers()
            for line in self._lines.split("\n") if self._lines else ():
                name, _, value = line.partition(": ")
                self._headers.add(name, value)
        return self._headers

    @property
    def body(self):
        if self._body is None:
            self._body = self.stream.whole()
        return self._body

    @property
    def path(self):
        path = self._target.partition("?")[0]
        if "%" not in path:
            return path
        from urllib.parse import unquote
        return unquote(path)

    @property
    def query_text(self):
        return self._target.partition("?")[2]

    @property
    def query(self):
        if self._query is None:
            self._query = Query(self.query_text)
        return self._query


class Context:
    """Where the function runs."""

    def __init__(self):
        self.hostname = os.environ.get("HOSTNAME", "localhost")


def to_body(body):
    """The body's bytes or an iterator over them, and its content type unless the handler names one."""
    if body is None:
        return b"", HTML
    if isinstance(body, str):
        return body.encode("utf-8", "surrogateescape"), HTML
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body), HTML
    if isinstance(body, (dict, list)):
        import json
        return json.dumps(body).encode(), "application/json"
    if hasattr(body, "__next__") or hasattr(body, "__anext__"):
        return body, HTML
    return str(body).encode("utf-8", "surrogateescape"), HTML


def to_answer(result):
    """Status, header pairs, body and content type of what a handler returned, in the forms that Flask and OpenFaaS's
    template know."""
    status, headers = 200, ()
    if isinstance(result, dict) and ("statusCode" in result or "body" in result or "headers" in result):
        status = result.get("statusCode", 200)
        headers = result.get("headers") or ()
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
    body, content_type = to_body(result)
    return int(status), headers.items() if hasattr(headers, "items") else headers, body, content_type


def to_head(status, pairs, content_type, length):
    """The head's bytes. `length` is told where no body is sent."""
    if status == 200 and not pairs and length is None:
        return b"200\ncontent-type: " + content_type.encode("latin-1")
    if not 200 <= status <= 999:
        raise ValueError("the handler returned status %r: expected 200 to 999" % status)
    lines = [str(status)]
    typed = status in (204, 304)
    for name, values in pairs:
        name = str(name)
        if not name or not TOKEN.issuperset(name):
            raise ValueError("the handler returned a header named %r" % name)
        typed = typed or name.lower() == "content-type"
        for value in values if isinstance(values, (list, tuple)) else [values]:
            value = str(value)
            if "\r" in value or "\n" in value or "\0" in value:
                raise ValueError("the handler returned a line break in header %r" % name)
            lines.append("%s: %s" % (name, value))
    if not typed:
        lines.append("content-type: " + content_type)
    if length is not None:
        lines.append("content-length: %d" % length)
    return "\n".join(lines).encode("latin-1", "replace")
