"""Run a command from a small process, and tell what it took: `python timed.py USAGE.json COMMAND …`.

A process inherits, for the kernel's count of its peak, the memory of the one it was forked from; a benchmark that has
counted tables in memory would give its own peak to every command. This launcher has a few MB.
"""

import json
import os
import sys
from pathlib import Path


def main() -> int:
    """Run it; the exit code is the command's."""
    usage_path, *command = sys.argv[1:]
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    scale = 1 if sys.platform == "darwin" else 1024
    found = {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss * scale}
    Path(usage_path).write_text(json.dumps(found))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
