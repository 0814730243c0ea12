"""The commands: parse, call one function, print. No logic; a command's module is imported only when it is called."""

import atexit
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Literal, NoReturn

from cyclopts import App, CycloptsError, MissingArgumentError, UnknownCommandError, UnknownOptionError

from nerbert.about import DOCS
from nerbert.cli.options import Json, UnwrappedHelp
from nerbert.errors import NerbertError, bad_path, missing_extra, need, refused, unknown
from nerbert.process import version_report
from nerbert.registry import IN_PACKAGES, Registry

_OBJECTS = 20_000
"""Threshold of the garbage collector: Python's default of 700 costs more at start-up than it frees."""


app = App(
    name="nerbert",
    version=version_report,
    help=f"""A Wikipedia dump goes in; a tagger that learns new entity types from a handful of examples comes out.

    Documentation: {DOCS}/README.md""",
    help_format="plaintext",
    help_formatter=UnwrappedHelp(),
    suppress_keyboard_interrupt=False,
)
_BUILT_IN = {
    place.partition(":")[2].removesuffix("_app"): f"nerbert.cli{place}"
    for place in (
        ".data:corpus_app",
        ".data:knowledge_app",
        ".data:data_app",
        ".models:pretrain",
        ".models:finetune",
        ".models:types",
        ".distil:distil",
        ".models:calibrate",
        ".models:evaluate",
        ".models:report",
        ".tag:tag",
        ".serve:serve",
        ".serve:mcp",
        ".models:show",
        ".models:check",
        ".models:export",
        ":quickstart",
        ":doctor",
        ":completion",
    )
}
for command, place in _BUILT_IN.items():
    app.command(place, name=command)
COMMANDS: Registry[Callable[..., object]] = Registry("command", "nerbert.commands", _BUILT_IN)
"""The commands; those of other distributions are functions, or cyclopts' `App`. `data.NAME` is a command of `data`."""
PACKAGES = IN_PACKAGES[COMMANDS.group]
"""Commands of this project that are in distributions of their own, and the names of these."""


def quickstart(*, text: str = "", keep: Path | None = None) -> None:
    """Show every step in two minutes, on a small sample wiki and a sample domain.

    Parameters
    ----------
    text
        A sentence to tag at the end.
    keep
        Folder in which to keep the corpus, the data, the encoder and the taggers; default: none is kept.
    """
    need("train", "torch", "transformers")
    from nerbert.quickstart.tour import run_quickstart

    run_quickstart(text, keep)


def doctor(folder: Path = Path(), *, json: Json = False) -> None:
    """Check this machine for everything that the commands need, and suggest remedies.

    Memory, disk, versions of libraries, extras, GPU. The exit code is 1 if there is a
    problem; extras that aren't installed are none.

    Parameters
    ----------
    folder
        Folder in which you will work; default: the current one.
    """
    from nerbert.doctor import examine
    from nerbert.render.terminal import print_doctor

    if not print_doctor(examine(folder), as_json=json):
        sys.exit(1)


def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a script with which a shell completes commands and options.

    bash: `nerbert completion bash > ~/.local/share/bash-completion/completions/nerbert`; zsh: write `_nerbert` into a
    folder of `$fpath`; fish: write `~/.config/fish/completions/nerbert.fish`.

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    add_commands()
    print(app.generate_completion(shell=shell))


def stop_on_sigterm() -> None:
    """Make SIGTERM end the process as Ctrl-C does, with all clean-up, and exit code 143."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command (default: the process's arguments); a NerbertError ends it with one line and its exit code."""
    gc.set_threshold(_OBJECTS)
    atexit.register(gc.freeze)  # the interpreter's shutdown would scan all objects several times
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it looks for plugins in all installed packages
    stop_on_sigterm()
    try:
        with refused(bad_path):
            _call(sys.argv[1:] if arguments is None else arguments)
    except CycloptsError as error:
        _fail(_usage(error), 2)
    except (NerbertError, ModuleNotFoundError) as error:
        fault = error if isinstance(error, NerbertError) else missing_extra(error)
        if fault is None:
            raise
        _fail("; ".join([str(fault), *getattr(error, "__notes__", [])]), fault.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (KeyboardInterrupt, SystemExit) as stop:
        notes = getattr(stop, "__notes__", [])
        if notes or isinstance(stop, KeyboardInterrupt):
            print("; ".join(["nerbert: stopped", *notes]), file=sys.stderr)
        if isinstance(stop, KeyboardInterrupt):  # without a traceback, Python ends by the signal, as shells' loops need
            sys.excepthook = lambda *_: None
        raise


def add_commands(*names: str) -> None:
    """Add these commands of other distributions to `app`; without names, all that can be imported."""
    for name in names or COMMANDS:
        group, _, last = name.rpartition(".")
        parent, last = (app[group], last) if group in app else (app, name)
        if last not in parent:
            parent.command(COMMANDS.find(name), name=last)


def _call(arguments: Sequence[str]) -> None:
    first, second, *_ = *arguments, "", ""
    in_group = _BUILT_IN.get(first, "").endswith("_app") and (second.startswith("-") or second not in app[first])
    name = f"{first}.{second}" if in_group else first
    if first in ("", "--help", "-h"):  # the list of commands shows the first line of each
        add_commands()
        for command in app:
            app[command]
    elif in_group or first not in app:
        add_commands(*([name] if COMMANDS.contains(name) or name in PACKAGES else ()))
    app(arguments, exit_on_error=False, print_error=False)


def _usage(error: CycloptsError) -> str:
    """Return the problem of a command line, with the names that the help uses."""
    command = " ".join(["nerbert", *(error.command_chain or ())])
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        known = (name for name in reduce(App.__getitem__, error.command_chain or (), app) if not name.startswith("-"))
        problem = f"no command {error.unused_tokens[0]!r}{unknown(error.unused_tokens[0], known)}"
    elif isinstance(error, MissingArgumentError) and error.argument and not error.argument.tokens:
        argument, name = error.argument, error.argument.name
        has_option = not set(argument.names).isdisjoint(error.root_input_tokens or ())
        label = name if argument.index is None else name.strip("-").upper()
        problem = f"{label} {'needs a value' if has_option else 'is missing'}"
    else:
        if isinstance(error, UnknownOptionError):  # inputs don't know the command's options
            command_app = reduce(App.__getitem__, error.command_chain or (), app)
            error.argument_collection = command_app.assemble_argument_collection()
        problem = str(error).strip().removesuffix(".")
    return f"{problem} (see {command} --help)"


def _fail(line: str, code: int) -> NoReturn:
    print(f"nerbert: {NerbertError(line)}", file=sys.stderr)
    sys.exit(code)
