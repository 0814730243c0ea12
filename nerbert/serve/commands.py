"""Commands of nerbert that a server runs in processes of their own."""

import asyncio
import os
import sys

from nerbert.errors import InputError


async def run_command(*arguments: str) -> bytes:
    """Return what a command of nerbert prints; raise InputError with its last line if it fails.

    It runs in a process of its own, which ends when the caller is cancelled.
    """
    process = await asyncio.create_subprocess_exec(
        "nice", sys.executable, "-m", "nerbert", *arguments,
        env={"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) - 1)), **os.environ},  # one core is for the server
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the server alone
    )  # fmt: skip
    try:
        printed, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()  # what it writes is whole or absent
            await process.wait()
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise InputError(lines[-1] if lines else f"ended with {process.returncode}")
    return printed
