"""Run a command, and end it with all that it started when this program's standard input ends: `guard.py COMMAND…`.

Nothing is left running, even if the waiting process is killed. Run by its path, this file imports nothing of nerbert.
"""

import os
import signal
import subprocess
import sys
import threading


def _end_with_input() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_input, daemon=True).start()
    code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603  (the user's own command)
    os._exit(code if code >= 0 else 128 - code)
