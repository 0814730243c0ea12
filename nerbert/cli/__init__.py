"""The commands: parse, call one function, print. No logic; heavy libraries are loaded by what is called."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App

from nerbert import DOCS, __version__
from nerbert.cli import annotate, data, distil, models, tag
from nerbert.cli.options import UnwrappedHelp
from nerbert.errors import NerbertError, missing_extra

app = App(
    name="nerbert",
    version=__version__,
    help=f"""A Wikipedia dump goes in; a tagger that learns new entity types from a handful of examples comes out.

    Documentation: {DOCS}/README.md""",
    help_format="plaintext",
    help_formatter=UnwrappedHelp(),
    suppress_keyboard_interrupt=False,
)
for group in (data.corpus_app, data.knowledge_app, data.data_app):
    app.command(group)
for command in (
    models.pretrain, models.finetune, distil.distil, models.calibrate, models.evaluate, tag.tag, annotate.annotate,
    models.show, models.check, models.export, models.benchmark,
):  # fmt: skip
    app.command(command)


@app.command
def quickstart(*, text: str = "", keep: Path | None = None, report: Path | None = None) -> None:
    """Show every step in four minutes, on a small sample wiki and a sample domain.

    Parameters
    ----------
    text
        A sentence of yours to tag at the end.
    keep
        Folder in which to leave all files, with a README that says what each one is.
    report
        New HTML file to write: report.html in the folder of --keep, else nerbert-quickstart.html here.
    """
    from nerbert.quickstart.tour import run_quickstart

    run_quickstart(text, keep, report)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command (the process's own arguments by default); an error of nerbert's is one line and its exit code."""
    from nerbert.executors import stop_on_sigterm
    from nerbert.terminal import visible

    stop_on_sigterm()
    try:
        app(sys.argv[1:] if arguments is None else arguments)
    except (NerbertError, ModuleNotFoundError) as error:
        fault = error if isinstance(error, NerbertError) else missing_extra(error)
        if fault is None:
            raise
        told = [str(fault), *getattr(error, "__notes__", [])]
        print(f"nerbert: {visible('; '.join(told))}", file=sys.stderr)
        sys.exit(fault.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (KeyboardInterrupt, SystemExit) as stop:
        notes = getattr(stop, "__notes__", [])
        if notes or isinstance(stop, KeyboardInterrupt):
            print("; ".join(["nerbert: stopped", *notes]), file=sys.stderr)
        if isinstance(stop, KeyboardInterrupt):
            sys.exit(130)
        raise
