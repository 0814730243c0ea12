"""The command `nerbert label`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nerbert.cli import options as opt


def label(
    *files: Path,
    output: opt.OptionalOutput = None,
    types: str = "",
    tagger: str = "",
    encoder: str = "",
    config: opt.Config = None,
    seed: int = 0,
    port: int = 8010,
    browser: Annotated[bool, Parameter(negative="--no-browser")] = True,
    reading: opt.Read = opt.READ,
) -> None:
    """Label sentences in the browser while a tagger learns from them, and is tested on held-out sentences.

    Everything is kept in one folder: labels.jsonl (the labels), journal.jsonl (all actions), rounds (the taggers). The
    command can be stopped and run again. The page is available on this machine only.

    Parameters
    ----------
    files
        Files or folders with the sentences, in any format that `nerbert tag` reads; more can be added on the page.
    output
        Folder for the work; default: the first file's name with -labels, or else labels.
    types
        Types to label, as labels of `nerbert tag`: "ship,port: where ships stay"; more can be added on the page.
    tagger
        Tagger that takes labels at run time, for the first suggestions; default: `minilm`, or `many` with a --language
        that isn't English.
    encoder
        Encoder to fine-tune on the labels: a model folder or hub name; default: as for `tagger`.
    seed
        Seed of the random order of sentences.
    port
        Port of the page; 0 chooses a free one.
    browser
        Open the page in the browser.
    """
    from nerbert_label.serving import serve_labelling

    serve_labelling(
        files,
        output,
        types=types,
        tagger=tagger,
        encoder=encoder,
        config=config,
        seed=seed,
        port=port,
        browser=browser,
        reading=reading,
    )
