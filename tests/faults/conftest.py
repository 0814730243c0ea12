"""Desks at which commands are struck."""

import bz2
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

import nerbert
from nerbert.corpus.knowledge.addresses import list_addresses
from nerbert.corpus.shards import read_sentences
from tests.bench.conftest import SHIPS
from tests.encoder.open_rows import ROWS
from tests.faults.harness import Command, Desk
from tests.faults.jobs import SETTINGS
from tests.faults.strikes import Strike
from tests.sources.web_server import BODY, place, serving

LINES = [f"Margarethe {number} sailed with Larsen & Holm from Bergen to Oslo in May." for number in range(60)]


@pytest.fixture(scope="session")
def inputs(sample: Path, tiny_encoder: Path, tiny_tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read, by the names that they have in jobs.py."""
    folder = tmp_path_factory.mktemp("struck") / "inputs"
    for name, path in (
        ("knowledge", sample / "knowledge"),
        ("domain", sample / "domain"),
        ("encoder", tiny_encoder),
        ("tagger", tiny_tagger),
    ):
        shutil.copytree(path, folder / name)
    _write_wiki(sample / "wiki.xml", folder / "wiki.xml")
    nerbert.build_corpus(folder / "wiki.xml", folder / "knowledge", folder / "corpus", min_mentions=2)
    anchors = {
        each.text[mention.start : mention.end]: mention.class_path[0] if mention.class_path else "Thing"
        for each in read_sentences(folder / "corpus")
        for mention in each.mentions
    }
    files = SETTINGS | {
        "short.txt": "".join(f"Ada {number} met Bob in Oslo.\n" for number in range(6)),
        "open.jsonl": "".join(f"{json.dumps(row)}\n" for row in ROWS),
        "names.tsv": "".join(f"{anchor}\t{root}\n" for anchor, root in list(anchors.items())[::2]),
        **{f"texts/{number}.txt": "\n".join(LINES[number * 20 : number * 20 + 40]) for number in range(2)},
        **{f"data/ships/{name}.conll": SHIPS * 4 for name in ("train", "dev", "test")},
        **{f"data/far/{name}.conll": "Oslo\tB-place\nharbour\tO\n\n" * 6 for name in ("train", "dev", "test")},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def _write_wiki(whole: Path, target: Path) -> None:
    """Write every eighth page of a dump, and one twice, so that a step rewrites what pass 1 wrote."""
    xml = whole.read_text()
    pages = re.findall(r"<page>.*?</page>", xml, re.DOTALL)[::8]
    target.write_text(f"{xml[: xml.index('<page>')]}{''.join([*pages, pages[0]])}</mediawiki>")


@pytest.fixture
def desk_of(
    inputs: Path, tmp_path: Path, warm_python: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Command], Desk]]:
    """Make the desk of a command, which has run once without a fault; servers that it talks with are there."""
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "inputs").symlink_to(inputs)
    with ExitStack() as servers:

        def make(command: Command) -> Desk:
            arguments = " ".join(command.arguments)
            if "{model}" in arguments:
                from tests.annotate.model_server import serving as serving_model

                arguments = arguments.replace("{model}", servers.enter_context(serving_model()).address)
            if "{web}" in arguments:
                web = servers.enter_context(serving())
                web.files |= {place(each): _public(each.name) for each in list_addresses("en")}
                arguments = arguments.replace("{web}", web.address)
            return Desk(tmp_path, replace(command, arguments=tuple(arguments.split())))

        yield make


def _public(name: str) -> bytes:
    return BODY if name.endswith(".xml") else bz2.compress(name.encode())


@pytest.fixture
def strike_often(pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]) -> Callable[[Desk, Strike], None]:
    """Strike a desk's command as often as the options say, and show a row of a table: each run ends as documented, or
    is equal.
    """

    def run(desk: Desk, strike: Strike) -> None:
        tally = strike(desk, pytestconfig.getoption("kills"), pytestconfig.getoption("kill_seed"))
        with capsys.disabled():
            sys.stdout.write(f"\n{tally.row()}\n")
        assert tally.faults == []

    return run
