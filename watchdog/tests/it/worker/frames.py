"""Frames of the worker protocol, as plain as can be, for runtimes that break it."""
import os
import socket
import struct
import sys

HELLO, HEAD, BODY, ABORT, ACK, LOG, RUN, EXIT = range(1, 9)
END, USAGE = 1, 2
SOCKET = socket.socket(fileno=os.dup(0))


def frame(kind, flags, call, payload=b'', length=None):
    length = len(payload) if length is None else length
    SOCKET.sendall(struct.pack('!BBII', kind, flags, call, length) + payload)


def hello(*lines):
    frame(HELLO, 0, 0, '\n'.join(('version: 1',) + lines).encode())


def read(size):
    data = b''
    while len(data) < size:
        more = SOCKET.recv(size - len(data))
        if not more:
            os._exit(0)
        data += more
    return data


def take():
    kind, flags, call, length = struct.unpack('!BBII', read(10))
    return kind, flags, call, read(length)


def request():
    """The next call: its number, head and first part of the body."""
    while True:
        kind, flags, call, payload = take()
        if kind == HEAD:
            length, = struct.unpack_from('!I', payload)
            return call, payload[4:4 + length].decode(), payload[4 + length:]


def head(text, body=b''):
    return struct.pack('!I', len(text)) + text + body


def answer(call, body, flags=END):
    frame(HEAD, flags, call, head(b'200\ncontent-type: text/plain', body))
