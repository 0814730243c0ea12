"""`nerbert corpus …`, `knowledge …`, `data …`: build and show silver corpora; list, convert, sample data sets."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from nerbert.cli import options as opt

corpus_app = App(name="corpus", help="Build and inspect silver corpora.")
knowledge_app = App(name="knowledge", help="Get types of titles.")


@corpus_app.command(name="build")
def corpus_build(
    *dumps: opt.FileOrDash,
    knowledge: Annotated[list[Path], Parameter(negative="", consume_multiple=True)],
    output: opt.Output,
    exclude: opt.Many = None,
    config: opt.Config = None,
    set_: opt.Set = None,
    run: opt.Run = opt.RUN,
    overwrite: opt.Flag = False,
) -> None:
    """Build a corpus from a dump: sentences with typed links, filtered and sampled as in the paper.

    Parameters
    ----------
    dumps
        MediaWiki pages-articles files: .xml, .xml.bz2 (multistream or not), .xml.gz, .xml.xz; addresses (https://…;
        s3://… needs nerbert[s3]); `-` for standard input. A build can be interrupted: rerun the command to resume it.
    knowledge
        Files or folders with types of titles: DBpedia's ontology and mapping exports, instance types, Wikidata, tables
        `title<TAB>class`; `nerbert knowledge fetch` downloads the public ones. If two have a title, the first is used.
    output
        Folder to make.
    exclude
        Files or folders of annotated data, JSON lines, or text with one sentence per line. Sentences that share eight
        consecutive words with them, or equal one of four to seven words, are left out.
    overwrite
        Replace a folder that nerbert made, or an unfinished build from something else.
    """
    import nerbert
    from nerbert.config import load_settings
    from nerbert.corpus.settings import CorpusSettings
    from nerbert.render.corpus import print_summary

    settings = load_settings(CorpusSettings, config, set_ or [])
    with run.open_executor() as executor:
        built = nerbert.build_corpus(
            dumps, knowledge, output, settings, exclude=exclude or (), executor=executor, overwrite=overwrite
        )
    print_summary(built.manifest, output)


@corpus_app.command(name="show")
def corpus_show(
    corpus: opt.Corpus,
    *,
    sentences: int = 8,
    json: opt.Flag = False,
    html: Path | None = None,
    overwrite: opt.ReplaceFile = False,
) -> None:
    """Show statistics of a corpus, and some of its sentences with coloured mentions.

    Parameters
    ----------
    sentences
        Number of sentences to show.
    json
        Print the page's content as JSON: the manifest, and statistics computed from it.
    html
        Write one HTML page with figures and sentences of every category instead.
    """
    from nerbert.render.corpus import show_corpus

    show_corpus(corpus, sentences, as_json=json, html=html, overwrite=overwrite)


@corpus_app.command(name="export")
def corpus_export(
    corpus: opt.Corpus,
    *,
    output: opt.FileOrPipe,
    format_: Annotated[str, Parameter(name="--format")] = "conll",
    split: str = "",
    copies: opt.Flag = False,
    overwrite: opt.ReplaceFile = False,
) -> None:
    """Export a corpus as CoNLL or JSON lines, for programs that do not read Parquet.

    Parameters
    ----------
    output
        File to make; `-` for standard output.
    format_
        conll (words and tags) or jsonl (all columns, with attribution).
    split
        train or validation; default: both.
    copies
        Write each sentence as often as the sampling draws it; those with 0 copies are left out.
    """
    from nerbert.corpus.export import export_corpus

    written = export_corpus(corpus, output, format_, split, copies, overwrite=overwrite)
    print(f"{written:,} sentences written", file=sys.stderr)


@corpus_app.command(name="push")
def corpus_push(corpus: opt.Corpus, repo: str, *, private: opt.Flag = False) -> None:
    """Push a corpus to the Hugging Face hub as a data set with its card; first log in with `hf auth login`.

    Its sentences, manifest and card become one commit; its source pages, titles and targets aren't uploaded.

    Parameters
    ----------
    repo
        Name on the hub: owner/name. A missing data set is created; an existing one gets the new files.
    private
        Make a new data set private.
    """
    from nerbert.corpus.export import push_corpus

    print(push_corpus(corpus, repo, private=private or None))


@knowledge_app.command(name="fetch")
def knowledge_fetch(
    *,
    language: str,
    date: str = "2022.12.01",
    output: opt.OptionalOutput = None,
    also: opt.Repeated = None,
    mirror: str = "",
    list_: opt.ListOnly = False,
) -> None:
    """Fetch public files for `corpus build --knowledge`: DBpedia's ontology, mappings, instance types, and more.

    Rerun the command to resume an interrupted download. Files that exist are not fetched again.

    Parameters
    ----------
    language
        Wikipedia's code: en, de, zh-yue.
    date
        DBpedia's release: 2022.12.01 or 20221201 (its latest one). The ontology and the mappings have no date.
    output
        Folder to make or to complete.
    also
        wikidata (about 145 GiB) or dump (Wikipedia's text), the newest or with a date after a colon: dump,
        wikidata:20250625. May be given several times.
    mirror
        http(s)://host/folder to use instead of every public server, with the same paths below it.
    list_
        Print the files (name, kind, published checksum, address) without fetching them.
    """
    from nerbert.corpus.knowledge.addresses import list_addresses
    from nerbert.sources.download import fetch, list_lines

    addresses = list_addresses(language, date, tuple(also or ()))
    for line in list_lines(addresses, mirror) if list_ else fetch(addresses, output, mirror):
        print(line, flush=True)


data_app = App(
    name="data", help="List, convert and sample annotated data sets; with nerbert-bench, check and fetch them."
)


@data_app.command(name="list")
def data_list(*, data: Path | None = None, json: opt.Flag = False) -> None:
    """List the data sets that nerbert knows, and those in a folder.

    Parameters
    ----------
    data
        Folder with one folder per data set: also check that the files of each exist and match the published ones.
    json
        Print all details as JSON.
    """
    from nerbert.data.catalogue import list_data
    from nerbert.render.terminal import print_list

    print_list(list_data(data), as_json=json)


@data_app.command(name="convert")
def data_convert(
    source: Path,
    output: Path,
    *,
    to: str = "",
    read: opt.Read = opt.READ,
    overwrite: Annotated[bool, Parameter(negative="", help="Replace a file, or a folder that nerbert made.")] = False,
) -> None:
    """Convert annotated data of any size from any format to any other; the output is complete or absent.

    Parameters
    ----------
    source
        File, folder with a file for each split, or folder in a format that consists of folders.
    output
        File to make; or a folder with a file for each split, if the source has splits or --split cuts it.
    to
        Format to write: conll, jsonl, label-studio, brat, …, or your own as module:Class. Default: by the output's
        suffix, or without one the format of the source.
    """
    from nerbert.data.convert import convert_data
    from nerbert.render.terminal import print_conversion

    print_conversion(convert_data(source, output, to=to, reading=read, overwrite=overwrite))


@data_app.command(name="sample")
def data_sample(
    name: opt.DataName,
    *,
    size: str,
    draw: int = 1,
    output: opt.Output,
    data: opt.DataRoot = None,
    read: opt.Read = opt.READ,
    overwrite: opt.Overwrite = False,
) -> None:
    """Draw a small part of a train split, the same as `nerbert benchmark` trains on.

    Parameters
    ----------
    size
        50 (sentences), 5% (of them), k=4 (entities of each type), or all.
    draw
        Number of the draw, from 1. Smaller sizes of a draw are part of its larger ones.
    output
        Folder to make: the sentences drawn, dev and test unchanged, and manifest.json with the sentences' positions.
    """
    from nerbert.data.catalogue import open_data, write_sample
    from nerbert.render.terminal import print_sample

    print_sample(write_sample(open_data(name, data, read), size, draw, output, overwrite=overwrite), output)
