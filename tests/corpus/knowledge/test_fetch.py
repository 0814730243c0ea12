"""A folder of public files: what is fetched, checked, kept, refused, and read by a build; no test needs the net."""

import bz2
import gzip
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from nerbert.artifacts import held
from nerbert.cli import main
from nerbert.corpus.knowledge.addresses import list_addresses
from nerbert.corpus.knowledge.detect import SourceKind
from nerbert.corpus.knowledge.knowledge import open_knowledge
from nerbert.errors import InputError, OutputExists, WriteError
from nerbert.sources.download import FETCHED, Address
from tests.sources.web_server import BODY, ONTOLOGY, PLACE, Mood, Web, fails, get, names, place, whole


def test_a_file_is_fetched_once_and_checked_after(web: Web, tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    assert get(web, out) == [f"ontology.xml: {len(BODY):,} bytes fetched, no checksum is published"]
    assert whole(out)
    told = json.loads((out / FETCHED).read_text())["files"]["ontology.xml"]
    assert (told["address"], told["sha1"]) == (ONTOLOGY.address, "")
    assert get(web, out) == [f"ontology.xml: {len(BODY):,} bytes, there already"]
    assert len(web.asked) == 1
    (out / "ontology.xml").write_bytes(BODY[:-1])
    fails(OutputExists, web, out, "or was changed; move it away")
    (out / "ontology.xml").unlink()
    get(web, out)
    assert whole(out)
    assert len(web.asked) == 2


def test_what_is_missing_keeps_no_other_file_away(web: Web, tmp_path: Path) -> None:
    """All files but one are there; the error comes last and says what to try."""
    addresses = list_addresses("en", "2021.09.01")
    for each in addresses:
        web.files[place(each)] = BODY if each.name.endswith(".xml") else bz2.compress(each.name.encode())
    del web.files[place(addresses[2])]
    fails(InputError, web, tmp_path, addresses[2].address.partition("org")[2], "404", "--date", addresses=addresses)
    assert names(tmp_path) == sorted([FETCHED, *(each.name for each in addresses if each != addresses[2])])


def dumps(language: str = "simple", date: str = "20250601") -> list[Address]:
    """A dump, and another file of the same list."""
    one = list_addresses(language, also=(f"dump:{date}",))[-1]
    name = one.name.replace("pages-articles", "pages-meta")
    return [one, replace(one, name=name, address=one.address.replace(one.name, name))]


def dump(web: Web, language: str = "simple", date: str = "20250601") -> tuple[list[Address], dict[str, bytes]]:
    """Put two files of a date and their SHA-1 sums on the server."""
    found = dumps(language, date)
    files = {each.name: bz2.compress(each.kind.encode() * 500) for each in found}
    lines = [f"{hashlib.sha1(data).hexdigest()}  {name}\n" for name, data in files.items()]
    web.files |= {place(each): files[each.name] for each in found}
    web.files[f"/{language}wiki/{date}/{language}wiki-{date}-sha1sums.txt"] = "".join(lines).encode()
    return found, files


def test_published_checksums_are_checked(web: Web, tmp_path: Path) -> None:
    found, files = dump(web)
    lines = get(web, tmp_path, found)
    assert all(line.endswith("sha1 as published") for line in lines)
    assert all((tmp_path / name).read_bytes() == data for name, data in files.items())
    assert len(web.asked) == 3, "the list is read once"
    get(web, tmp_path, found)
    assert len(web.asked) == 3


def test_a_wrong_checksum_keeps_nothing(web: Web, tmp_path: Path) -> None:
    found, files = dump(web)
    web.files[place(found[0])] = bz2.compress(b"other")
    fails(InputError, web, tmp_path, hashlib.sha1(files[found[0].name]).hexdigest(), "published", addresses=found)
    assert names(tmp_path) == []
    dump(web)
    get(web, tmp_path, found)
    assert (tmp_path / found[0].name).read_bytes() == files[found[0].name]


def test_a_file_that_the_list_lacks_isnt_fetched_and_one_without_a_list_is(web: Web, tmp_path: Path) -> None:
    found, _ = dump(web)
    list_ = next(list_ for list_ in web.files if "sums" in list_)
    web.files[list_] = web.files[list_].splitlines(keepends=True)[1]
    fails(InputError, web, tmp_path / "unfinished", "not be finished", addresses=found[:1])
    del web.files[list_]
    assert get(web, tmp_path / "none", found[:1])[0].endswith("no checksum is published")


def test_latest_means_one_date_a_folder(web: Web, tmp_path: Path) -> None:
    """A newer dump appears between the fetches of two files."""
    _, files = dump(web)
    newest = dumps(date="latest")
    list_ = "/simplewiki/latest/simplewiki-latest-sha1sums.txt"
    web.files[list_] = next(data for path, data in web.files.items() if "sha1sums" in path)
    get(web, tmp_path, newest[:1])
    dump(web, date="20250701")
    web.files[list_] = web.files["/simplewiki/20250701/simplewiki-20250701-sha1sums.txt"]
    get(web, tmp_path, newest)
    assert names(tmp_path) == sorted([FETCHED, *files])
    assert all((tmp_path / name).read_bytes() == data for name, data in files.items())
    del web.files[list_]
    fails(InputError, web, tmp_path / "else", "latest", "--also", addresses=newest)


def test_lists_may_hold_anything(web: Web, tmp_path: Path) -> None:
    found, files = dump(web)
    list_ = next(path for path in web.files if "sums" in path)
    name = found[0].name
    sha = hashlib.sha1(files[name]).hexdigest().upper()
    web.files[list_] = f"\xff\x00\n{'0' * 32}  {name}\n../../x  y\n{sha} *{name}\r\n".encode("latin-1")
    web.moods[list_] = [Mood(cut=5)]
    assert get(web, tmp_path, found[:1])[0].endswith("sha1 as published")


def test_a_folder_that_cant_be_made_is_told(web: Web, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    fails(WriteError, web, tmp_path / "file", "can't be written")
    fails(WriteError, web, tmp_path / "file" / "below", "can't be written")
    assert web.asked == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_told(web: Web, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    fails(WriteError, web, tmp_path, "ermission")
    tmp_path.chmod(0o700)


def test_two_runs_dont_share_a_folder(web: Web, tmp_path: Path) -> None:
    with held(tmp_path, ""):
        fails(OutputExists, web, tmp_path, "another run")
    get(web, tmp_path)
    assert whole(tmp_path)


def test_nothing_foreign_is_replaced(web: Web, tmp_path: Path) -> None:
    (tmp_path / "ontology.xml").write_bytes(b"mine")
    fails(OutputExists, web, tmp_path, "was not fetched")
    (tmp_path / "ontology.xml").unlink()
    (tmp_path / "else").write_text("mine")
    (tmp_path / ".ontology.xml.partial").symlink_to(tmp_path / "else")
    fails(OutputExists, web, tmp_path, "is a link")
    assert (tmp_path / "else").read_text() == "mine"
    (tmp_path / ".ontology.xml.partial").unlink()
    addresses = [list_addresses("en", date)[2] for date in ("2022.12.01", "2021.09.01")]
    web.files[place(addresses[0])] = web.files[place(addresses[1])] = bz2.compress(b"")
    get(web, tmp_path, addresses[:1])
    fails(OutputExists, web, tmp_path, "2022.12.01", "2021.09.01", "folder", addresses=addresses[1:])


@pytest.mark.parametrize("text", ["[]", "{}", '{"files": [], "latest": {}}', '{"files": {"a": 1}, "latest": {}}', "{"])
def test_a_strange_record_is_told(web: Web, tmp_path: Path, text: str) -> None:
    (tmp_path / FETCHED).write_text(text)
    fails(InputError, web, tmp_path, FETCHED)


def test_the_list_asks_nobody(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    line = [*"knowledge fetch --language en --list --also dump:latest --mirror".split(), f"{web.address}/m/"]
    run(line)
    rows = [each.split("\t") for each in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["ontology.xml", "ontology", "no checksum", f"{web.address}/m{PLACE}"]
    assert (len(rows), rows[4][2], web.asked) == (5, "sha1", [])
    with pytest.raises(SystemExit):
        run(line[:4])
    assert "--output" in capsys.readouterr().err


def run(arguments: list[str]) -> None:
    try:
        main(arguments)
    except SystemExit as end:
        if end.code:
            raise


def triple(*names: str) -> str:
    return " ".join(f"<http://{name}>" for name in names) + " .\n"


def type_triple(title: str, name: str) -> str:
    kind = "www.w3.org/1999/02/22-rdf-syntax-ns#type"
    return triple(f"dbpedia.org/resource/{title}", kind, f"dbpedia.org/ontology/{name}")


def test_the_folder_is_knowledge_as_it_is(
    web: Web, tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All kinds of files from one server, and a corpus built with the folder and the dump in it."""
    addresses = list_addresses("en", also=("dump:20221201", "wikidata:20221207"))
    titles = (sample / "knowledge" / "titles.tsv").read_text(encoding="utf-8").splitlines()[1:]
    types = "".join(type_triple(row.split("\t")[0].replace(" ", "_"), row.split("\t")[1]) for row in titles)
    same = triple("dbpedia.org/resource/A", "dbpedia.org/ontology/wikiPageDisambiguates", "dbpedia.org/resource/A_(b)")
    claims = {"P31": [{"rank": "normal", "mainsnak": {"snaktype": "value", "datavalue": {"value": {"id": "Q5"}}}}]}
    pages = {"enwiki": ["A"], "simplewiki": ["A", "B"]}
    entities = [
        {"type": "item", "id": f"Q{number}", "claims": claims, "sitelinks": {site: {"title": title}}}
        for number, (site, title) in enumerate(((site, title) for site in pages for title in pages[site]), 1)
    ]
    wikidata = "[\n" + ",\n".join(json.dumps(each, separators=(",", ":")) for each in entities) + "\n]\n"
    stream = bz2.compress((sample / "wiki.xml").read_bytes())
    ontology = (sample / "knowledge" / "ontology.xml").read_bytes()
    contents = [
        ontology.replace(b"= Agent\n", b"= Agent\n| owl:equivalentClass = wikidata:Q5\n", 1),
        (sample / "knowledge" / "mapping_en.xml").read_bytes(),
        *(bz2.compress(each.encode()) for each in (types, same)),
        stream,
        gzip.compress(wikidata.encode()),
    ]
    web.files = {place(each): data for each, data in zip(addresses, contents, strict=True)}
    out = tmp_path / "out"
    also = ["--also", "dump:20221201", "--also", "wikidata:20221207"]
    run(["knowledge", "fetch", "--language", "en", "-o", str(out), "--mirror", web.address, *also])
    assert len(capsys.readouterr().out.splitlines()) == len(addresses)
    assert {path.name for path in out.iterdir()} == {FETCHED, *(each.name for each in addresses)}
    assert [(out / each.name).read_bytes() for each in addresses] == contents
    knowledge = open_knowledge([out], "en")
    used = {source.kind for source in knowledge.sources}
    assert used >= {SourceKind.ONTOLOGY, SourceKind.MAPPING, SourceKind.TRIPLES, SourceKind.WIKIDATA_JSON}
    assert FETCHED not in {name for name, _ in knowledge.passed_over}
    corpus = tmp_path / "corpus"
    dump_file = out / addresses[4].name
    set_ = ["--set", "min_mentions=5", "--set", "wiki=simplewiki"]
    run(["corpus", "build", str(dump_file), "--knowledge", str(out), "-o", str(corpus), *set_])
    shown = capsys.readouterr()
    assert FETCHED not in shown.out + shown.err
    manifest = json.loads((corpus / "manifest.json").read_text(encoding="utf-8"))
    rows = {each["path"]: each["rows"] for each in manifest["knowledge"]["used"]}
    assert rows[addresses[-1].name] == 2, "the wiki's name says which links count"
    assert manifest["mention_sources"][addresses[2].name] > 100
