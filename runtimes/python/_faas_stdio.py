"""`handle(req)`: the body on standard input, what is printed and returned on standard output.

Each call has a process: one that is forked from here when RUN comes, or this one itself. What is imported and connected
before is shared by all that are forked. A handler that has started threads is never forked: a thread would be missing.
"""

import _signal
import atexit
import gc
import os
import sys
from posix import putenv
from time import monotonic

from _faas_frames import ABORT, EXIT, EXITED, LEFT, RUN, Gone, broken

# A group whose leader has exited may be killed for this long: its number is not given to others so soon.
LINGER_SECONDS = 5
SIGNALS = (_signal.SIGCHLD, _signal.SIGIO)


def has_threads():
    try:
        return len(os.listdir("/proc/self/task")) > 1
    except OSError:
        return "threading" in sys.modules and sys.modules["threading"].active_count() > 1


def run_once(handle):
    """Reads, calls, prints; the exit status. Past the streams, whose buffers a forked process would have to copy."""
    parts = iter(lambda: os.read(0, 1 << 16), b"")
    return print_result(handle, b"".join(parts))


def print_result(handle, body):
    """Bytes that are not UTF-8 pass unharmed, line ends are not translated."""
    try:
        result = handle(body.decode("utf-8", "surrogateescape"))
        if sys.stdout is not sys.__stdout__ and isinstance(result, str):
            # The handler may have chosen an encoding.
            print(result)
        elif result is not None:
            if not isinstance(result, (bytes, bytearray)):
                result = str(result).encode("utf-8", "surrogateescape")
            sys.stdout.flush()
            write_all(sys.stdout.buffer, result + b"\n")
        return 0
    except SystemExit as error:
        return exit_status(error.code)
    except BaseException as error:
        show(error)
        return 1


def write_all(stream, data):
    """Through the stream where it has no descriptor: then it gathers in memory."""
    try:
        descriptor = stream.fileno()
    except OSError:
        stream.write(data)
        return
    while data:
        data = data[os.write(descriptor, data):]


def exit_status(code):
    """As the interpreter reads what sys.exit() was given."""
    if code is None or isinstance(code, int):
        return int(code or 0) & 0xFF
    flush_streams()
    print(code, file=sys.stderr)
    return 1


def show(error):
    """Prints the traceback from the handler's own code on."""
    ours = os.path.dirname(os.path.abspath(__file__))
    trace = error.__traceback__
    while trace is not None and os.path.dirname(trace.tb_frame.f_code.co_filename) == ours:
        trace = trace.tb_next
    # What was printed stands before it, as it would at an interpreter's end.
    flush_streams()
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def set_up_streams():
    """Standard streams as an interpreter would open them for a pipe. They stay the same objects, which the handler may
    have kept; one that it took apart is its own affair."""
    lenient, legible = {"errors": "surrogateescape"}, {"errors": "backslashreplace", "line_buffering": True}
    for stream, options in (sys.__stdin__, lenient), (sys.__stdout__, lenient), (sys.__stderr__, legible):
        try:
            stream.reconfigure(encoding="utf-8", **options)
        except ValueError:
            pass


def flush_streams():
    """Whether all that was printed is written."""
    flushed = True
    for stream in sys.__stdout__, sys.stdout, sys.stderr:
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except (OSError, ValueError):
            flushed = stream is not sys.stdout and stream is not sys.stderr and flushed
    return flushed


def leave(status):
    """Ends the process as the interpreter would, without the time that taking everything down takes."""
    if "threading" in sys.modules or atexit._ncallbacks():
        run_exit_functions()
    if not flush_streams():
        status = status or 120
    os._exit(status)


def run_exit_functions():
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        pass  # Printed already; the status is the handler's.


def take_over(descriptors):
    """Becomes the process of a call."""
    for place, descriptor in enumerate(descriptors):
        os.dup2(descriptor, place)
        os.close(descriptor)


def add_variables(variables):
    """As os.environb would, without its detours. Only in a process that ends with its call: the C library keeps every
    value that it was ever given."""
    known = os.environ._data
    for entry in variables.split(b"\0") if variables else ():
        name, _, value = entry.partition(b"=")
        putenv(name, value)
        known[name] = value


class Receiver:
    """Reads frames with the descriptors that come with them, three to a RUN, in order."""

    def __init__(self, channel):
        import _socket
        self.channel = channel
        # Without the layer of `socket`, whose import alone costs 7 ms.
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, channel.socket)
        self.space = _socket.CMSG_SPACE(12)
        self.descriptors = []
        channel.more = self.more

    def more(self):
        data, ancillary, _, _ = self.socket.recvmsg(65536, self.space)
        for _, _, numbers in ancillary:
            whole = len(numbers) - len(numbers) % 4
            self.descriptors += memoryview(numbers[:whole]).cast("i")
        if not data:
            raise Gone
        self.channel.buffer += data

    def take_three(self):
        three, self.descriptors = self.descriptors[:3], self.descriptors[3:]
        if len(three) < 3:
            broken("RUN with %d descriptors" % len(three))
        return three


class ForkServer:
    """Forks a process for each RUN and tells how it ended.

    After a fork, each page that either side writes to is copied, and those copies are most of what a call costs. So
    what is done for a call is little, and goes past Python's own layers where those do much (`_signal` for `signal`,
    which makes enumerations).

    What happens is told by two signals, which are only ever waited for: SIGCHLD, and SIGIO when frames have come.
    """

    def __init__(self, channel, child):
        import fcntl
        self.channel = channel
        self.receiver = Receiver(channel)
        self.child = child
        # Process ids of calls, and calls of processes; of those that have exited, what they may have left behind.
        self.processes = {}
        self.calls = {}
        self.left = {}
        # A handler that ignores SIGCHLD would have its processes reaped by the kernel, without a word to us.
        self.disposition = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_BLOCK, SIGNALS)
        fcntl.fcntl(channel.socket, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(channel.socket, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)

    def serve(self):
        # Streams are made here, once; what is garbage by now or never will be is not looked at again.
        set_up_streams()
        gc.collect()
        gc.freeze()
        self.receive()
        while True:
            if _signal.sigwait(SIGNALS) == _signal.SIGCHLD:
                self.reap()
            else:
                self.receive()

    def receive(self):
        """Takes all that has come. A signal stands for all that comes before it is waited for."""
        try:
            while True:
                self.receiver.more()
                self.take_frames()
        except BlockingIOError:
            pass

    def take_frames(self):
        while True:
            frame = self.channel.take()
            if frame is None:
                return
            kind, _, call, payload = frame
            if kind == RUN:
                self.fork(call, payload)
            elif kind == ABORT:
                self.kill(call)
            else:
                broken("a frame of kind %d" % kind)

    def fork(self, call, variables):
        descriptors = self.receiver.take_three()
        try:
            process = os.fork()
        except OSError as error:
            self.channel.send(ABORT, 0, call, ("cannot fork: %s" % error.strerror).encode())
        else:
            if process == 0:
                self.become(descriptors, variables)
            self.processes[call] = process
            self.calls[process] = call
        for descriptor in descriptors:
            os.close(descriptor)

    def become(self, descriptors, variables):
        """In the forked process; does not return."""
        status = 1
        try:
            os.setpgid(0, 0)
            if self.disposition not in (None, _signal.SIG_DFL):
                _signal.signal(_signal.SIGCHLD, self.disposition)
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, SIGNALS)
            os.close(self.channel.socket)
            self.channel.buffer = b""
            # Those of a RUN that has not come whole.
            for descriptor in self.receiver.descriptors:
                os.close(descriptor)
            take_over(descriptors)
            add_variables(variables)
            status = self.child() or 0
        finally:
            leave(status)

    def reap(self):
        """Takes the end of our own forks only: the handler's other children are its own affair."""
        for process in list(self.calls):
            ended, status, usage = os.wait4(process, os.WNOHANG)
            if not ended:
                continue
            call = self.calls.pop(process)
            del self.processes[call]
            left = kill(os.killpg, process, 0)
            if left:
                self.remember(call, process)
            micros = int((usage.ru_utime + usage.ru_stime) * 1e6)
            self.channel.send(EXIT, LEFT * left, call, EXITED.pack(status, micros, usage.ru_maxrss << 10))

    def remember(self, call, process):
        """The watchdog may yet ask for the end of what is left of its group."""
        now = monotonic()
        self.left[call] = process, now
        while self.left:
            oldest = next(iter(self.left))
            if now - self.left[oldest][1] < LINGER_SECONDS:
                return
            del self.left[oldest]

    def kill(self, call):
        process = self.processes.get(call)
        if process is not None:
            # One that does not lead its group yet has no other process.
            kill(os.killpg, process) or kill(os.kill, process)
            return
        process, _ = self.left.pop(call, (None, None))
        # A number that lives again is another call's.
        if process is not None and process not in self.calls:
            kill(os.killpg, process)


def kill(how, process, signal=9):
    """Whether there was one."""
    try:
        how(process, signal)
    except OSError:
        return False
    return True


def serve_one(channel, child):
    """Becomes the process of the first call."""
    channel.hello(speaks="stdio")
    receiver = Receiver(channel)
    kind, _, _, variables = channel.frame()
    if kind != RUN:
        broken("a frame of kind %d" % kind)
    descriptors = receiver.take_three()
    receiver.socket.close()
    set_up_streams()
    take_over(descriptors)
    add_variables(variables)
    leave(child() or 0)
