"""Commands of nerbert, run in this process."""


def exit_code(*arguments: object) -> int:
    """Run a command and return its exit code."""
    from nerbert.cli import main

    try:
        main([*map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
