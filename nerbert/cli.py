"""The commands: parse, call one function, print. No logic; heavy libraries are loaded by what is called."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from nerbert import __version__
from nerbert.errors import NerbertError

app = App(
    name="nerbert",
    version=__version__,
    help="A Wikipedia dump goes in; a tagger that learns new entity types from a handful of examples comes out.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
corpus_app = App(name="corpus", help="Make and look at silver corpora.")
app.command(corpus_app)
knowledge_app = App(name="knowledge", help="Get what gives titles their types.")
app.command(knowledge_app)

Output = Annotated[Path, Parameter(name=["--output", "-o"])]
FileOrPipe = Annotated[Path, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)]
Set = Annotated[list[str] | None, Parameter(name="--set", negative="", consume_multiple=False)]
Many = Annotated[list[Path] | None, Parameter(negative="", consume_multiple=True)]
Config = Annotated[Path | None, Parameter(name="--config")]
FileOrDash = Annotated[str, Parameter(allow_leading_hyphen=True)]
Flag = Annotated[bool, Parameter(negative="")]


@corpus_app.command(name="build")
def corpus_build(
    *dumps: FileOrDash, knowledge: Annotated[list[Path], Parameter(negative="", consume_multiple=False)],
    output: Output, exclude: Many = None, workers: int = 1, config: Config = None, set_: Set = None,
    overwrite: Flag = False,
) -> None:  # fmt: skip
    """Dump → corpus: sentences with typed links, filtered and sampled as in the paper.

    Parameters
    ----------
    dumps
        MediaWiki pages-articles files: .xml, .xml.bz2 (multistream or not), .xml.gz, .xml.xz; addresses (https://…,
        s3://…: needs nerbert[remote]); `-` for standard input. A multistream file's index (…-index.txt.bz2) may
        stand beside it. A build that was stopped goes on when the same command is run again.
    knowledge
        File or folder that types titles: DBpedia's ontology and mapping exports, instance types, Wikidata, tables
        `title<TAB>class`; `nerbert knowledge fetch` gets the public ones. May be given several times; of two that
        type a title, the first wins, or what --set precedence=… names.
    output
        Folder to make.
    exclude
        CoNLL, JSON lines, or text with a sentence a line, files or folders; sentences that share eight words in a row
        with them are left out.
    workers
        Processes; the result is the same for any number.
    config
        Settings file (TOML).
    set_
        One setting, as key=value; see docs/settings.md.
    overwrite
        Replace a folder that nerbert made, and what a build from something else left half made.
    """
    from nerbert.config import load_settings
    from nerbert.corpus.build import CorpusPlan, build_corpus
    from nerbert.corpus.report import print_summary
    from nerbert.corpus.settings import CorpusSettings

    settings = load_settings(CorpusSettings, config, set_ or [])
    plan = CorpusPlan(dumps, tuple(knowledge), output, tuple(exclude or ()), workers, overwrite)
    print_summary(build_corpus(plan, settings), output)


@corpus_app.command(name="show")
def corpus_show(
    corpus: Path, *, sentences: int = 8, json: Flag = False, html: Path | None = None, overwrite: Flag = False
) -> None:
    """Statistics of a corpus, and some of its sentences with coloured mentions.

    Parameters
    ----------
    corpus
        Folder that `corpus build` made.
    sentences
        How many sentences to show.
    json
        Print all that the page shows as JSON instead: the manifest, and what follows from it.
    html
        Write one HTML page with figures and sentences of every category instead.
    overwrite
        Replace a page.
    """
    from nerbert.corpus.report import show_corpus

    show_corpus(corpus, sentences, as_json=json, html=html, overwrite=overwrite)


@corpus_app.command(name="export")
def corpus_export(
    corpus: Path, *, output: FileOrPipe, format_: Annotated[str, Parameter(name="--format")] = "conll",
    split: str = "", copies: Flag = False, overwrite: Flag = False,
) -> None:  # fmt: skip
    """Corpus → CoNLL or JSON lines, for programs that read no Parquet.

    Parameters
    ----------
    corpus
        Folder that `corpus build` made.
    output
        File to make; `-` for standard output.
    format_
        conll (words and tags) or jsonl (all columns, with attribution).
    split
        train or validation; both if not given.
    copies
        Write each sentence as often as the sampling draws it; those with 0 copies are left out.
    overwrite
        Replace a file.
    """
    from nerbert.corpus.export import export_corpus

    written = export_corpus(corpus, output, format_, split, copies, overwrite=overwrite)
    print(f"{written:,} sentences written", file=sys.stderr)


@corpus_app.command(name="punkt")
def corpus_punkt(corpus: Path, *, output: Output, overwrite: Flag = False) -> None:
    """Train Punkt, a sentence splitter, on a corpus's own text, for `--set sentence_splitter=punkt-trained`.

    Parameters
    ----------
    corpus
        Folder that `corpus build` made.
    output
        JSON file to make.
    overwrite
        Replace a file.
    """
    from nerbert.corpus.punkt_training import train_on_corpus

    model = train_on_corpus(corpus, output, overwrite=overwrite)
    print(f"{output}: {len(model.abbreviations):,} abbreviations, {len(model.starters):,} sentence starters")


@knowledge_app.command(name="fetch")
def knowledge_fetch(
    *, language: str, date: str = "2022.12.01",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    also: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None, mirror: str = "",
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
) -> None:  # fmt: skip
    """Public files → folder for `corpus build --knowledge`: DBpedia's ontology, mappings, instance types, and more.

    What was stopped goes on when the same command is run again; what is there is checked, and not fetched twice.

    Parameters
    ----------
    language
        Wikipedia's code: en, de, zh-yue.
    date
        DBpedia's release: 2022.12.01 or 20221201 (its last one). The ontology and the mappings have no date.
    output
        Folder to make or to go on with.
    also
        wikidata (about 73 GB) or dump (Wikipedia's text and its index), the newest or with a date behind a colon:
        dump, wikidata:20250625. May be given several times.
    mirror
        http(s)://host/folder to be asked in place of every public server, with the same paths below it.
    list_
        Print what would be fetched (name, kind, published checksum, address), and fetch nothing.
    """
    from nerbert.corpus.knowledge.addresses import list_addresses
    from nerbert.corpus.knowledge.fetch import fetch, list_lines

    addresses = list_addresses(language, date, tuple(also or ()))
    for line in list_lines(addresses, mirror) if list_ else fetch(addresses, output, mirror):
        print(line, flush=True)


@app.command
def pretrain(config: Path, *, output: Output, set_: Set = None, overwrite: Flag = False) -> None:
    """Corpus → encoder: pre-train an encoder as a tagger over the corpus's categories.

    Parameters
    ----------
    config
        Settings file (TOML): at least `corpus`; see docs/settings.md.
    output
        Folder to make: a Hugging Face token-classification model.
    set_
        One setting, as key=value.
    overwrite
        Replace a folder that nerbert made.
    """
    from nerbert.config import load_settings
    from nerbert.encoder.pretrain import pretrain as run
    from nerbert.encoder.settings import PretrainSettings
    from nerbert.training.report import print_log

    print_log(run(load_settings(PretrainSettings, config, set_ or []), output, overwrite=overwrite), output)


@app.command
def finetune(
    encoder: str, *, data: Path, output: Output, source: Path | None = None, seeds: str = "", config: Config = None,
    set_: Set = None, overwrite: Flag = False,
) -> None:  # fmt: skip
    """Encoder + annotated sentences → tagger.

    Parameters
    ----------
    encoder
        Model folder or hub name.
    data
        Folder with train.conll (and dev.conll), or one CoNLL file.
    output
        Folder to make; with several seeds, a folder for each below it.
    source
        Data of a source domain to train on first (source & target).
    seeds
        Comma-separated seeds, say 1,2,3.
    config
        Settings file (TOML).
    set_
        One setting, as key=value; see docs/settings.md.
    overwrite
        Replace a folder that nerbert made.
    """
    from nerbert.config import load_settings, whole_numbers
    from nerbert.finetune.finetune import finetune as run
    from nerbert.finetune.settings import FinetuneSettings

    settings = load_settings(FinetuneSettings, config, set_ or [])
    for folder in run(
        encoder, data, output, settings, source=source, seeds=whole_numbers("--seeds", seeds), overwrite=overwrite
    ):
        print(folder)


@app.command
def evaluate(tagger: str, file: Path, *, json: Flag = False) -> None:
    """Precision, recall and F1 of a tagger on a CoNLL file, over all types and by type.

    Parameters
    ----------
    tagger
        Tagger's folder, or a folder of several seeds.
    file
        Gold CoNLL file.
    json
        Print JSON.
    """
    from nerbert.evaluation.evaluate import evaluate as run
    from nerbert.evaluation.report import print_evaluation

    print_evaluation(run(tagger, file), as_json=json)


@app.command
def tag(tagger: str, file: Annotated[str, Parameter(allow_leading_hyphen=True)] = "-", *, json: Flag = False) -> None:
    """Tag a text, line by line; `-` reads standard input.

    Parameters
    ----------
    tagger
        Tagger's folder or hub name.
    file
        Text file in UTF-8.
    json
        Print one JSON object a line, with character offsets into that line.
    """
    from nerbert.tagger.stream import tag_stream

    tag_stream(tagger, file, as_json=json)


@app.command
def quickstart(*, text: str = "", keep: Path | None = None) -> None:
    """The whole road in three minutes, on a small sample wiki and a sample domain.

    Parameters
    ----------
    text
        A sentence of yours to tag at the end.
    keep
        Folder in which to leave all files.
    """
    from nerbert.quickstart import run_quickstart

    run_quickstart(text, keep)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command (the process's own arguments by default); an error of nerbert's is one line and its exit code."""
    from nerbert.show import visible
    from nerbert.work import stop_on_sigterm

    stop_on_sigterm()
    try:
        app(sys.argv[1:] if arguments is None else arguments)
    except NerbertError as error:
        print(f"nerbert: {visible(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt as stop:
        print("; ".join(["nerbert: stopped", *getattr(stop, "__notes__", [])]), file=sys.stderr)
        sys.exit(130)
