"""`async def handle(event, context)`: calls as frames, many at a time, on one event loop.

A request's body is read as a whole before the handler runs, up to MAX_BODY_BYTES (413). An answer's body may be an async
iterator. A call that is aborted is cancelled.
"""

import asyncio
import os
from contextvars import ContextVar

from _faas_calls import flush, usage_since
from _faas_event import PLAIN, Event, to_answer, to_bytes, to_head
from _faas_frames import ABORT, ACK, BODY, END, HEAD, NUMBER, USAGE, WINDOW, Gone, broken

PIECE = 64 << 10


class Body:
    """A request's body, which is here already."""

    def __init__(self, data):
        self.data = data

    def whole(self):
        return self.data

    def read(self, size=-1):
        if size is None or size < 0:
            size = len(self.data)
        data, self.data = self.data[:size], self.data[size:]
        return data

    def __iter__(self):
        return iter(lambda: self.read(PIECE), b"")


class Call:
    """One call: its body so far, what may be sent, its task."""

    def __init__(self, head):
        self.head = head
        self.parts = []
        self.size = 0
        self.room = WINDOW
        self.more_room = asyncio.Event()
        self.task = None
        self.running = False
        self.begun = self.aborted = False
        # The process's time so far: where calls overlap it counts for each.
        _, self.spent = usage_since(0)


class Server:
    """Runs calls until the watchdog leaves."""

    def __init__(self, channel, handle, context, max_body):
        self.channel = channel
        self.handle = handle
        self.context = context
        self.max_body = max_body
        self.calls = {}
        self.current = ContextVar("call", default=0)
        # What is printed belongs to the call whose task prints it.
        type(channel).call = property(lambda _: self.current.get(), lambda *_: None)

    @property
    def concurrency(self):
        text = os.environ.get("worker_concurrency", "")
        return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else 100

    def serve(self, once):
        asyncio.run(self.run(once))

    async def run(self, once):
        os.set_blocking(self.channel.socket, False)
        self.once = once
        self.done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self.channel.socket, self.readable)
        await self.done

    def readable(self):
        try:
            self.channel.more()
            while True:
                frame = self.channel.take()
                if frame is None:
                    return
                self.take(*frame)
        except BlockingIOError:
            pass
        except Gone:
            os._exit(0)

    def take(self, kind, flags, number, payload):
        call = self.calls.get(number)
        if kind == HEAD:
            start = 4 + NUMBER.unpack_from(payload)[0]
            call = self.calls[number] = Call(payload[4:start])
            self.take_body(call, number, payload[start:], flags & END)
        elif kind not in (BODY, ABORT, ACK):
            broken("a frame of kind %d" % kind)
        elif call is None:
            pass  # It is over.
        elif kind == BODY and call.task is None:
            self.take_body(call, number, payload, flags & END)
        elif kind == ACK:
            call.room += NUMBER.unpack(payload)[0]
            call.more_room.set()
        elif kind == ABORT:
            call.aborted = True
            # A task that is cancelled before it has run never does.
            if call.running:
                call.task.cancel()
            else:
                if call.task:
                    call.task.cancel()
                self.abort(number, b"aborted")

    def take_body(self, call, number, data, ended):
        call.parts.append(data)
        call.size += len(data)
        if call.size > self.max_body:
            self.refuse(call, number, 413, "body too large\n")
        elif ended:
            call.task = asyncio.get_running_loop().create_task(self.work(call, number))
        else:
            self.channel.send(ACK, 0, number, NUMBER.pack(len(data)))

    async def work(self, call, number):
        call.running = True
        self.current.set(number)
        event = Event(call.head, Body(b"".join(call.parts)))
        call.parts = []
        try:
            result = await self.handle(event, self.context)
            await self.answer(call, number, event, *to_answer(result))
        except BaseException as error:
            if call.aborted:
                self.abort(number, b"aborted")
                return
            import traceback
            traceback.print_exc()
            if call.begun:
                self.abort(number, type(error).__name__.encode())
            else:
                self.refuse(call, number, 500, "Internal Server Error\n")

    async def answer(self, call, number, event, status, pairs, body, content_type):
        whole = isinstance(body, bytes)
        is_head = event.method == "HEAD"
        head = to_head(status, pairs, content_type, len(body) if whole and is_head else None)
        if is_head or status in (204, 304):
            body, whole = b"", True
        payload = NUMBER.pack(len(head)) + head
        if whole and len(body) <= WINDOW:
            self.end(call, number, HEAD, payload + body)
            return
        call.begun = True
        self.channel.send(HEAD, 0, number, payload)
        if whole:
            await self.send(call, number, body)
        elif hasattr(body, "__anext__"):
            async for part in body:
                await self.send(call, number, part)
        else:
            for part in body:
                await self.send(call, number, part)
        self.end(call, number, BODY, b"")

    async def send(self, call, number, part):
        body = to_bytes(part)
        start = 0
        while start < len(body):
            while call.room <= 0:
                call.more_room.clear()
                await call.more_room.wait()
            piece = body[start:start + min(call.room, PIECE)]
            call.room -= len(piece)
            start += len(piece)
            self.channel.send(BODY, 0, number, piece)

    def refuse(self, call, number, status, text):
        head = ("%d\ncontent-type: %s" % (status, PLAIN)).encode()
        self.end(call, number, HEAD, NUMBER.pack(len(head)) + head + text.encode())

    def abort(self, number, reason):
        self.over(number)
        self.channel.send(ABORT, 0, number, reason)

    def end(self, call, number, kind, payload):
        self.over(number)
        self.channel.send(kind, END | USAGE, number, payload + usage_since(call.spent)[0])

    def over(self, number):
        flush()
        self.calls.pop(number, None)
        if self.once and not self.done.done():
            self.done.set_result(None)
