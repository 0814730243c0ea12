"""Run `guard.py COMMAND…`, and kill it with all its children when standard input ends; doesn't import nerbert."""

import os
import signal
import subprocess
import sys
import threading


def _end_with_input() -> None:
    # The parent never writes: reading ends only when it closes the pipe or dies.
    os.read(0, 1)
    # Group 0 is the guard's own, so children of the command end, too.
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_input, daemon=True).start()
    code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603  (the user's own command)
    # A negative code is a signal's; it is reported as shells do.
    os._exit(code if code >= 0 else 128 - code)
