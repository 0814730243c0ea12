"""Data sets from a server that drops, lies and fails: what is published is whole and known, or nothing is."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.data.catalogue import KnownData, KnownSplit, Recipe, Repository, known_data, list_data
from nerbert.errors import InputError, OutputExists, SettingsError
from nerbert.sources.remote import RetryPolicy
from nerbert_bench.datasets import fetch as module
from nerbert_bench.datasets.fetch import Sentence, conll_text, fetch_data, find_addresses, list_public
from tests.bench.datasets.published import undraw
from tests.commands import exit_code
from tests.raised import raises
from tests.sources.web_server import Mood, Web, names, serving

COMMIT = "c0ffee" * 6 + "abcd"
WHOLE = ["dev.conll", "manifest.json", "test.conll", "train.conll"]
RECIPES = {
    "plain": Recipe(train="a/train file.txt", dev="a/dev.txt", test="a/test.txt"),
    "drawn": Recipe(train="d/all.txt", draw_dev=4, draw_test=5),
    "broken": Recipe(train="b/1", dev="b/2", test="b/3"),
}


def made_up(kind: str) -> dict[str, list[Sentence]]:
    sizes = {"train": 30, "dev": 4, "test": 5}
    return {
        split: [[(f"{kind}{split}{place}", "B-x"), ("goes", "O"), ("home", "B-y")] for place in range(size)]
        for split, size in sizes.items()
    }


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def known(name: str, splits: Mapping[str, list[Sentence]], paper_name: str = "") -> KnownData:
    told = {}
    for split, each in splits.items():
        size, sha256 = len(each), digest(conll_text(each))
        told[split] = KnownSplit(sentences=size, tokens=3 * size, entities=2 * size, sha256=sha256)
    source = Repository(repository="github.com/someone/things", commit=COMMIT, paths=())
    return KnownData(
        name=name,
        title=name.title(),
        about="Made up.",
        paper_name=paper_name,
        split="ours",
        licence="CC0",
        licence_note="All of it.",
        types=("x", "y"),
        splits=told,
        sources=(source,),
        recipe=RECIPES[name],
    )


DATA = {"plain": made_up("p"), "drawn": made_up("d"), "broken": made_up("b")}
KNOWN = {name: known(name, splits, {"drawn": "Dra"}.get(name, "")) for name, splits in DATA.items()}


def place(path: str) -> str:
    return f"/someone/things/{COMMIT}/{path}"


PLAIN = {split: place(f"a/{split}{'%20file' if split == 'train' else ''}.txt") for split in ("train", "dev", "test")}


def know(patch: pytest.MonkeyPatch, known: Mapping[str, KnownData]) -> None:
    """Let the package know these data sets alone."""
    for name in ("nerbert.data.catalogue", "nerbert_bench.datasets.fetch"):
        patch.setattr(f"{name}.known_data", lambda: known)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server with the plain set and the drawn one; no proxy stands before it."""
    monkeypatch.setenv("no_proxy", "*")
    know(monkeypatch, KNOWN)
    with serving() as web:
        web.files |= published()
        yield web


def published() -> dict[str, bytes]:
    """Return the files of the plain set and of the drawn one, by path."""
    whole = conll_text(undraw(DATA["drawn"], RECIPES["drawn"])["train"]).encode()
    return {place("d/all.txt"): whole, **{PLAIN[each]: conll_text(DATA["plain"][each]).encode() for each in PLAIN}}


def get(web: Web, output: Path, *names: str, **more: Any) -> list[str]:
    """Fetch without pauses."""
    policy = more.pop("policy", RetryPolicy(sleep=lambda _: None, tell=lambda _: None))
    return list(fetch_data(names, output, web.address, policy))


def whole(output: Path, name: str) -> bool:
    """Whether a data set is there with its files and no others."""
    good = all((output / name / f"{split}.conll").read_text() == conll_text(each) for split, each in DATA[name].items())
    return good and names(output / name) == WHOLE


def fails(kind: type[Exception], web: Web, output: Path, *asked: str, words: tuple[str, ...], **more: Any) -> None:
    with pytest.raises(kind) as raised:
        get(web, output, *asked, **more)
    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_a_data_set_is_fetched_once_and_checked_after(server: Web, tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    lines = get(server, out, "plain", "Dra", "plain")
    assert [line.partition(": ")[0] for line in lines] == ["plain", "plain", "drawn", "drawn"]
    assert lines[0] == "plain: licence: CC0 (All of it); terms are the publisher's"
    assert lines[1].endswith(": train 30, dev 4, test 5 sentences, SHA-256 as known")
    assert whole(out, "plain")
    assert whole(out, "drawn")
    assert names(out) == ["drawn", "plain"]
    asked = len(server.asked)
    assert get(server, out, "plain", "drawn") == [
        f"{each}: there already, SHA-256 as known" for each in ("plain", "drawn")
    ]
    assert len(server.asked) == asked == 4


def test_a_release_is_kept_as_it_is(server: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {split: b'{"text": "Oslo", "entities": []}\n' * size for split, size in (("train", 3), ("test", 1))}
    told = {
        split: KnownSplit(sentences=1, tokens=1, entities=0, sha256=hashlib.sha256(each).hexdigest())
        for split, each in texts.items()
    }
    recipe = Recipe(release="https://example.org/v1", train="train.jsonl", test="test.jsonl")
    one = KnownData(
        name="own", title="Own", about="Made up.", split="ours", licence="CC0", types=(), splits=told, recipe=recipe
    )
    know(monkeypatch, {"own": one})
    server.files |= {f"/v1/{split}.jsonl": each for split, each in texts.items()}
    get(server, tmp_path, "own")
    assert {split: (tmp_path / "own" / f"{split}.jsonl").read_bytes() for split in texts} == texts
    assert names(tmp_path / "own") == ["manifest.json", "test.jsonl", "train.jsonl"]
    assert get(server, tmp_path, "own") == ["own: there already, SHA-256 as known"]
    assert [each.there for each in list_data(tmp_path)] == ["whole"]
    (tmp_path / "own" / "train.jsonl").write_bytes(b"other")
    assert [each.there for each in list_data(tmp_path)] == ["another train"]
    fails(OutputExists, server, tmp_path, "own", words=("train.jsonl: is not the known one",))


def test_a_checkout_builds_its_own_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real sources give the release's bytes, from any folder, whose `domains.py` isn't run."""
    (tmp_path / "domains.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    script = "sources/open_types/build.py"
    lines = list(fetch_data(["open-types"], tmp_path / "out"))
    assert lines[1].startswith(f"open-types: built by {module.CHECKOUT / script}, not downloaded, into")
    made = tmp_path / "out" / "open-types"
    assert names(made) == ["dev.jsonl", "manifest.json", "test.jsonl", "train.jsonl"]
    assert [each.there for each in list_data(tmp_path / "out") if each.name == "open-types"] == ["whole"]
    told = json.loads((made / "manifest.json").read_text())
    assert [(each["address"], each["sha256"]) for each in told["raw"]] == [
        (script, split.sha256) for split in known_data()["open-types"].splits.values()
    ]
    assert [line.split("\t")[2] for line in list_public(["open-types"])] == [script] * 3


def test_a_script_that_fails_makes_no_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    script = tmp_path / "sources" / "open_types" / "build.py"
    script.parent.mkdir(parents=True)
    script.write_text("raise SystemExit('torn')")
    with raises(InputError, words="build.py failed: torn; nothing was kept"):
        list(fetch_data(["open-types"], tmp_path / "out"))
    assert names(tmp_path / "out") == []


def test_outside_a_checkout_and_with_a_mirror_it_is_downloaded(
    server: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, known_data())
    words = ("open-types: ", "open-types-3.0/train.jsonl", "status 404", "clone https://github.com/nerbert/nerbert")
    fails(InputError, server, tmp_path / "out", "open-types", words=words)
    assert server.asked, "a mirror is asked, in a checkout too"
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    assert [line.split("\t")[2] for line in list_public(["open-types"])] == [
        *find_addresses(known_data()["open-types"]).values()
    ]
    assert names(tmp_path / "out") == []


def test_the_folder_says_where_it_is_from(server: Web, tmp_path: Path) -> None:
    get(server, tmp_path, "drawn")
    told = json.loads((tmp_path / "drawn" / "manifest.json").read_text())
    assert (told["repository"], told["commit"]) == ("github.com/someone/things", COMMIT)
    assert told["licence"] == "CC0 (All of it)"
    data = server.files[place("d/all.txt")]
    assert told["raw"] == [
        {
            "address": f"{server.address}{place('d/all.txt')}",
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    ]
    assert told["sha256"] == {f"{split}.conll": digest(conll_text(each)) for split, each in DATA["drawn"].items()}
    assert (told["recipe"]["train"], told["recipe"]["draw_dev"], told["title"]) == ("d/all.txt", 4, "Drawn")


def test_a_stopped_run_leaves_nothing_and_begins_the_set_anew(server: Web, tmp_path: Path) -> None:
    server.moods[PLAIN["dev"]] = [Mood(cut=10)]
    hurried = RetryPolicy(tries=1, tell=lambda _: None)
    fails(InputError, server, tmp_path, "plain", words=("plain: http", "rerun"), policy=hurried)
    assert names(tmp_path) == []
    get(server, tmp_path, "plain")
    assert whole(tmp_path, "plain")
    assert names(tmp_path) == ["plain"]


def test_what_is_missing_keeps_no_other_away(server: Web, tmp_path: Path) -> None:
    words = ("broken: ", "status 404", "mirror", "nothing: no known data set", "; and ")
    fails(InputError, server, tmp_path, "nothing", "broken", "plain", words=words)
    assert whole(tmp_path, "plain")
    assert names(tmp_path) == ["plain"], "no empty folder is left of one that failed"


@pytest.mark.parametrize("cause", ["another text", "half a line", "another scheme", "a web page"])
def test_what_is_not_the_known_data_is_not_kept(
    server: Web, tmp_path: Path, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = server.files[PLAIN["dev"]]
    if cause == "another scheme":
        know(monkeypatch, KNOWN | {"plain": replace(KNOWN["plain"], recipe=replace(RECIPES["plain"], scheme="io"))})
    bad = {"another text": good.replace(b"home", b"away"), "half a line": good[:-9], "a web page": b" <!DOCTYPE HTML>"}
    server.files[PLAIN["dev"]] = bad.get(cause, good)
    words = {"half a line": "dev: broken line", "a web page": "dev: "}.get(cause, ".conll would have the SHA-256")
    fails(InputError, server, tmp_path, "plain", words=(words, "nothing was kept"))
    assert names(tmp_path) == []
    know(monkeypatch, KNOWN)
    server.files[PLAIN["dev"]] = good
    get(server, tmp_path, "plain")
    assert whole(tmp_path, "plain")


@pytest.mark.parametrize("what", ["mended", "partly there", "a file", "a link"])
def test_what_is_there_is_never_replaced(server: Web, tmp_path: Path, what: str) -> None:
    target = tmp_path / "plain"
    if what == "a file":
        target.write_text("mine")
    elif what == "a link":
        get(server, tmp_path / "else", "plain")
        target.symlink_to(tmp_path / "else" / "plain")
    else:
        get(server, tmp_path, "plain")
        (target / "dev.conll").unlink() if what == "partly there" else (target / "dev.conll").write_text("a\tO\n\n")
    before = len(server.asked)
    fails(OutputExists, server, tmp_path, "plain", words=("plain: ", "move", ".conll: is not the known one"))
    assert len(server.asked) == before
    assert what != "mended" or (target / "dev.conll").read_text() == "a\tO\n\n"


def test_what_must_be_named(server: Web, tmp_path: Path) -> None:
    fails(SettingsError, server, tmp_path, words=("name the data sets", "--list"))
    with pytest.raises(SettingsError, match="--output"):
        list(fetch_data(["plain"], None))
    with pytest.raises(SettingsError, match="--mirror"):
        list(fetch_data(["plain"], tmp_path / "out", "ftp://x"))
    fails(SettingsError, server, tmp_path, "plane", words=("did you mean 'plain'",))
    fails(SettingsError, server, tmp_path, "../plain", words=("no known data set",))
    assert names(tmp_path) == []


def test_the_list_asks_nobody(server: Web) -> None:
    rows = [line.split("\t") for line in list_public([], f"{server.address}/m")]
    assert [" ".join(row[:2]) for row in rows[:4]] == ["plain train", "plain dev", "plain test", "drawn train"]
    assert rows[0][2:] == [f"{server.address}/m{PLAIN['train']}", "CC0"]
    assert list(list_public(["Dra"])) == [f"drawn\ttrain\thttps://raw.githubusercontent.com{place('d/all.txt')}\tCC0"]
    assert server.asked == []


def test_the_command(
    server: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package's own table: listed, and asked for at a server that has none of it."""
    know(monkeypatch, known_data())
    assert exit_code("data", "fetch", "--list", "Pol", "wikigold") == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    command = ("data", "fetch", "jnlpba", "crossner_ai", "-o", tmp_path / "out", "--mirror", server.address)
    assert exit_code(*command) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("crossner_ai: licence: MIT; text CC BY-SA (")
    assert "jnlpba: no public address in this form" in shown.err
    assert "(status 404)" in shown.err
    assert names(tmp_path / "out") == []
