"""Runs a command in a terminal of its own, acts as a person at it does, and prints what the terminal got and how the command ended.

The argument is JSON: `command`, `env`, `rows`, `columns`, and `steps`. A step waits for its text, then types, sends a signal or gives the
terminal another width.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

SECONDS = 60
order = json.loads(sys.argv[1])
pid, terminal = pty.fork()


def resize(descriptor, columns):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", order["rows"], columns, 0, 0))


if pid == 0:
    resize(0, order["columns"])
    os.environ.update(order["env"])
    os.execvp(order["command"][0], order["command"])

text, seen = b"", 0
steps = list(order["steps"])
end = time.monotonic() + SECONDS
while True:
    if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
        os.kill(pid, signal.SIGKILL)
        break
    try:
        got = os.read(terminal, 65536)
    except OSError:  # EIO: nobody has the terminal open any more
        break
    if not got:
        break
    text += got
    while steps and (at := text.find(steps[0]["until"].encode(), seen)) >= 0:
        step = steps.pop(0)
        seen = at + len(step["until"].encode())
        time.sleep(step.get("afterMs", 0) / 1000)
        if "columns" in step:
            resize(terminal, step["columns"])
        if "type" in step:
            os.write(terminal, step["type"].encode())
        if "signal" in step:
            os.kill(pid, getattr(signal, step["signal"]))
_, status = os.waitpid(pid, 0)
left = [step["until"] for step in steps]
print(json.dumps({"code": os.waitstatus_to_exitcode(status), "text": text.decode(errors="replace"), "left": left}))
