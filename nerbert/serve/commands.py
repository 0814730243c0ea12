"""Commands of nerbert in a process separate from the server."""

import asyncio
import os
import sys
from collections.abc import Callable

from nerbert.errors import InputError


async def run_command(*arguments: str, read: Callable[[str], None] = lambda _: None) -> bytes:
    """Return the output of a nerbert command; raise InputError with its last line if it fails.

    It runs in a separate process, which ends when the caller is cancelled; `read` is called with the lines of its log.
    """
    process = await asyncio.create_subprocess_exec(
        # Answering the page comes before training.
        "nice",
        sys.executable,
        "-m",
        "nerbert",
        *arguments,
        # Leave one core for the server, unless the user has decided.
        env={"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) - 1)), **os.environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        # Only the server gets Ctrl-C (a session of its own). No line of the log is longer than the limit.
        limit=1 << 24,
    )
    try:
        # Both outputs are read at once: a full pipe would stop the command.
        printed: asyncio.Future[bytes] = asyncio.ensure_future(process.stdout.read())  # type: ignore[union-attr]
        line = ""
        async for content in process.stderr:  # type: ignore[union-attr]
            line = content.decode(errors="replace").strip() or line
            read(line)
        await process.wait()
    finally:
        if process.returncode is None:
            # Its files are complete or absent, so killing is safe.
            process.kill()
            await process.wait()
    if process.returncode:
        raise InputError(line or f"ended with {process.returncode}")
    return await printed
