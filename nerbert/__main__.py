"""The commands `nerbert` and `python -m nerbert`; Ctrl-C while they are imported is no traceback either."""

import sys


def run() -> None:
    """Import the commands, and run the one of the process's arguments."""
    try:
        from nerbert.cli import main
    except KeyboardInterrupt:
        # Raised again with one line instead of a traceback, so that the shell sees the interruption.
        sys.excepthook = lambda *_: sys.stderr.write("nerbert: stopped\n")
        raise
    main()


if __name__ == "__main__":
    run()
