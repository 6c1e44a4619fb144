"""A handler for mode http, on the socket or port that it is given. Paths choose what it does."""
import http.server
import os
import socketserver
import sys
import threading

released = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def address_string(self):
        return "local"

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status, body, **headers):
        self.send_response(status)
        self.send_header("Content-Length", len(body))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do(self):
        path = self.path.partition("?")[0]
        if path == "/hang":
            print("hanging", flush=True)
            threading.Event().wait()
        elif path == "/exit":
            os._exit(int(self.path.partition("?")[2]))
        elif path == "/garbage":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            self.close_connection = True
        elif path == "/break":
            self.send_response(200)
            self.send_header("Content-Length", 100)
            self.end_headers()
            self.wfile.write(b"only this")
            self.close_connection = True
        elif path == "/slow":
            self.send_response(200)
            self.send_header("Content-Length", 100)
            self.end_headers()
            self.wfile.write(b"begun")
            self.wfile.flush()
            threading.Event().wait()
        elif path == "/stream":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (b"one,", b"two"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        elif path == "/log":
            print("to stdout", flush=True)
            print("to stderr", file=sys.stderr, flush=True)
            self.answer(200, b"")
        elif path == "/redirect":
            self.answer(302, b"elsewhere", Location="/echo")
        elif path == "/late":
            print("late", flush=True)
            released.wait()
            self.answer(200, b"late")
        elif path == "/release":
            released.set()
            self.answer(200, b"")
        elif path == "/not-ready":
            self.answer(418, b"warming up")
        elif path == "/upgrade":
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "websocket")
            self.end_headers()
            self.wfile.write(self.rfile.readline())
            self.close_connection = True
        elif path == "/echo":
            self.answer(200, self.body(), X_Faas_Fault="gateway; a lie")
        else:
            body = self.body()
            head = f"{self.command} {self.path}\n{self.headers}".encode()
            self.answer(201, head + body, X_Own="yes")

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.do
        raise AttributeError(name)


class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


class Tcp(http.server.ThreadingHTTPServer):
    request_queue_size = 128


place = sys.argv[1]
server = Unix(place, Handler) if place.startswith("/") else Tcp(("127.0.0.1", int(place)), Handler)
server.serve_forever()
