"""The reference for Python's fork server: fork, the child exits at once, wait.

    python3 fork_loop.py AT_ONCE SECONDS

Never more than AT_ONCE children live. Prints how many ended, the seconds that took, and the median and the 99th
percentile of a child's time from before the fork to after the wait, in seconds.
"""

import os
import sys
import time

at_once, seconds = int(sys.argv[1]), float(sys.argv[2])
begins = {}
times = []
started = time.monotonic()
while begins or time.monotonic() - started < seconds:
    while len(begins) < at_once and time.monotonic() - started < seconds:
        begin = time.monotonic()
        child = os.fork()
        if child == 0:
            os._exit(0)
        begins[child] = begin
    if begins:
        child, _ = os.waitpid(-1, 0)
        times.append(time.monotonic() - begins.pop(child))
elapsed = time.monotonic() - started
times.sort()
print(len(times), elapsed, times[len(times) // 2], times[len(times) * 99 // 100])
