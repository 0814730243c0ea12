"""Commands in processes that have loaded torch already: a server forks one process for each command.

Importing torch and transformers takes several seconds of CPU, and the documentation has some hundred commands. A
command has its own arguments, folder, environment, standard files and exit code, as in a process that is started; only
what the server imported is shared. A test of imports or start-up, or one that kills from outside, starts its own.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

MODULES = """
    torch torch.profiler onnxruntime pandas transformers.convert_slow_tokenizer
    transformers.models.auto.modeling_auto transformers.models.bert.modeling_bert
    nerbert.cli nerbert.corpus.build nerbert.encoder.pretrain nerbert.finetuning.finetune nerbert.tagger.jobs.job
    nerbert.evaluation.evaluate nerbert.quickstart.tour
"""
CLIENT = """#!{python} -SE
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    command = dict(arguments={prefix!r} + sys.argv[1:], folder=os.getcwd(), environment=dict(os.environ))
    content = json.dumps(command).encode()
    socket.send_fds(server, [len(content).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(content)
    code = int(server.recv(16))
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
"""What stands in for `python` and `nerbert`; it ends as the command does, by a signal too."""
COLD = """#!/bin/sh
exec {python} {prefix} "$@"
"""
"""The same without a server: macOS forks no process that has threads."""


@contextmanager
def warm_commands(folder: Path) -> Iterator[Path]:
    """Write `python` and `nerbert` into a folder, to be found in PATH, and run a server for them."""
    address = str(folder / "server")
    for name, prefix in (("python", []), ("nerbert", ["-m", "nerbert"])):
        client = CLIENT.format(python=sys.executable, address=address, prefix=prefix)
        cold = COLD.format(python=sys.executable, prefix=" ".join(prefix))
        (folder / name).write_text(cold if sys.platform == "darwin" else client)
        (folder / name).chmod(0o755)
    if sys.platform == "darwin":
        yield folder
        return
    command = [sys.executable, str(Path(__file__)), address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield folder
        server.stdin.close()


def serve(address: str) -> None:
    """Run commands until standard input ends."""
    for name in MODULES.split():
        if find_spec(name.partition(".")[0]):  # pandas is an extra
            import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([server, sys.stdin], [], [])
            if sys.stdin in ready:
                os._exit(0)
            connection, _ = server.accept()
            if os.fork() == 0:
                break
            connection.close()
    _answer(connection)


def _answer(connection: socket.socket) -> None:
    """Read a command, run it in another process, and send its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, files, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as content:
        command = json.loads(content.read(int.from_bytes(head, "big")))
    if child := os.fork():
        for each in files:
            os.close(each)
        threading.Thread(target=_kill_when_gone, args=(connection, child), daemon=True).start()
        _, status = os.waitpid(child, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    connection.close()
    for number, each in enumerate(files):
        os.dup2(each, number)
        os.close(each)
    _run(command)


def _kill_when_gone(connection: socket.socket, child: int) -> None:
    """Kill a command when who asked for it is gone."""
    if not connection.recv(1):
        os.kill(child, signal.SIGKILL)


def _run(command: dict[str, Any]) -> None:
    """Do what `python` does with arguments: `-W error`, then `-m module`, `-c code` or a file."""
    os.chdir(command["folder"])
    os.environ.clear()
    os.environ.update(command["environment"])
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in ((0, "r"), (1, "w"), (2, "w")))  # noqa: SIM115, PTH123
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    first, *rest = command["arguments"]
    if first == "-W":
        warnings.simplefilter(rest[0])
        first, *rest = rest[1:]
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    if first in ("-m", "-c"):
        what, *rest = rest
    sys.argv = [first, *rest]
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[0] = "" if first == "-c" else os.getcwd() if first == "-m" else str(Path(first).parent)  # noqa: PTH109
    code: Any = 0
    interrupted = False
    try:
        if first == "-c":
            exec(what, main.__dict__)
        elif first == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(first, run_name="__main__")
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code, interrupted = 1, isinstance(error, KeyboardInterrupt)
    if not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for file in (sys.stdout, sys.stderr):
        with suppress(OSError):
            file.flush()
    if interrupted:  # as Python ends after Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code)  # libraries' own ends would wait for threads that a fork doesn't have


if __name__ == "__main__":
    serve(sys.argv[1])
