"""Data sets from a server that drops, lies and fails: what is published is whole and known, or nothing is."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.cli import main
from nerbert.errors import InputError, OutputExists, SettingsError
from nerbert.evaluation.datasets import fetch as module
from nerbert.evaluation.datasets.convert import Sentence, conll_text
from nerbert.evaluation.datasets.fetch import fetch_data, list_public
from nerbert.evaluation.datasets.registry import KnownData, KnownSplit, Recipe, Repository
from nerbert.sources.download import alone
from nerbert.sources.http import RetryPolicy
from tests.evaluation.datasets.published import undraw
from tests.sources.web_server import Mood, Web, serving

COMMIT = "c0ffee" * 6 + "abcd"
WHOLE = ["README.md", "dev.conll", "manifest.json", "test.conll", "train.conll"]
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
        name=name, title=name.title(), about="Made up.", paper_name=paper_name, split="ours", licence="CC0",
        licence_note="All of it.", types=("x", "y"), splits=told, sources=(source,),
        recipe=RECIPES[name],
    )  # fmt: skip


DATA = {"plain": made_up("p"), "drawn": made_up("d"), "broken": made_up("b")}
KNOWN = {name: known(name, splits, {"drawn": "Dra"}.get(name, "")) for name, splits in DATA.items()}


def place(path: str) -> str:
    return f"/someone/things/{COMMIT}/{path}"


PLAIN = {split: place(f"a/{split}{'%20file' if split == 'train' else ''}.txt") for split in ("train", "dev", "test")}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server with the plain set and the drawn one; no proxy stands before it."""
    monkeypatch.setenv("no_proxy", "*")
    with serving() as web:
        web.files |= {PLAIN[split]: conll_text(each).encode() for split, each in DATA["plain"].items()}
        web.files[place("d/all.txt")] = conll_text(undraw(DATA["drawn"], RECIPES["drawn"])["train"]).encode()
        yield web


def get(web: Web, output: Path, *names: str, **more: Any) -> list[str]:
    """Fetch without pauses."""
    policy = more.pop("policy", RetryPolicy(silence=20.0, sleep=lambda _: None, tell=lambda _: None))
    tables: dict[str, Any] = {"known": KNOWN} | more
    return list(fetch_data(names, output, web.address, policy, **tables))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def with_recipe(recipe: Recipe) -> dict[str, KnownData]:
    return {**KNOWN, "plain": replace(KNOWN["plain"], recipe=recipe)}


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


def test_the_folder_says_where_it_is_from(server: Web, tmp_path: Path) -> None:
    get(server, tmp_path, "drawn")
    told = json.loads((tmp_path / "drawn" / "manifest.json").read_text())
    assert (told["repository"], told["commit"], told["licence"]) == ("github.com/someone/things", COMMIT, "CC0")
    data = server.files[place("d/all.txt")]
    assert told["raw"] == [
        {
            "address": f"https://raw.githubusercontent.com{place('d/all.txt')}", "mirror": server.address,
            "size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
        }
    ]  # fmt: skip
    assert told["sha256"] == {f"{split}.conll": digest(conll_text(each)) for split, each in DATA["drawn"].items()}
    text = (tmp_path / "drawn" / "README.md").read_text()
    expected = (
        COMMIT,
        "d/all.txt",
        "CC0",
        "terms are the publisher's",
        told["fetched"],
        "seed 0: 4 to be dev, 5 to be test",
    )
    assert all(each in text for each in (*expected, *told["sha256"].values()))


def test_dropped_connections_are_taken_up(server: Web, tmp_path: Path) -> None:
    server.moods[PLAIN["train"]] = [Mood(cut=100), Mood(status=503, body=b""), Mood(cut=7)]
    get(server, tmp_path, "plain")
    assert whole(tmp_path, "plain")
    assert server.ranges(PLAIN["train"]) == ["", "bytes=100-", "bytes=100-", "bytes=107-"]


def test_a_stopped_run_goes_on(server: Web, tmp_path: Path) -> None:
    """What is there stays for the next run, hidden; what came of the rest is asked for again."""
    server.moods[PLAIN["dev"]] = [Mood(cut=10)]
    hurried = RetryPolicy(silence=20.0, tries=1, tell=lambda _: None)
    fails(InputError, server, tmp_path, "plain", words=("plain: http", "again"), policy=hurried)
    assert names(tmp_path) == [f".plain.{COMMIT[:12]}.raw"]
    get(server, tmp_path, "plain")
    assert whole(tmp_path, "plain")
    assert names(tmp_path) == ["plain"]
    assert len(server.ranges(PLAIN["train"])) == 1


def test_a_run_killed_when_it_had_published_leaves_nothing_for_good(server: Web, tmp_path: Path) -> None:
    get(server, tmp_path, "plain")
    raw = tmp_path / f".plain.{COMMIT[:12]}.raw"
    raw.mkdir()
    (raw / "train.raw").touch()
    get(server, tmp_path, "plain")
    assert names(tmp_path) == ["plain"]
    raw.symlink_to(tmp_path / "plain")
    get(server, tmp_path, "plain")
    assert whole(tmp_path, "plain"), "a link is left alone"


def test_what_is_missing_keeps_no_other_away(server: Web, tmp_path: Path) -> None:
    words = ("broken: ", "status 404", "mirror", "nothing: no data set is known", "; and ")
    fails(InputError, server, tmp_path, "nothing", "broken", "plain", words=words)
    assert whole(tmp_path, "plain")
    assert names(tmp_path) == ["plain"], "no empty folder is left of one that failed"


@pytest.mark.parametrize("cause", ["another text", "half a line", "another scheme", "a web page"])
def test_what_is_not_the_known_data_is_not_kept(server: Web, tmp_path: Path, cause: str) -> None:
    good, there = server.files[PLAIN["dev"]], KNOWN
    if cause == "another scheme":
        there = with_recipe(replace(RECIPES["plain"], scheme="io"))
    bad = {"another text": good.replace(b"home", b"away"), "half a line": good[:-9], "a web page": b" <!DOCTYPE HTML>"}
    server.files[PLAIN["dev"]] = bad.get(cause, good)
    words = {"half a line": "dev.raw:15: broken line", "a web page": "begins with"}.get(
        cause, ".conll would have the SHA-256"
    )
    fails(InputError, server, tmp_path, "plain", words=(words, "nothing was kept"), known=there)
    assert not (tmp_path / "plain").exists()
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


def test_a_link_in_place_of_the_hidden_folder_is_left_alone(server: Web, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / f".plain.{COMMIT[:12]}.raw").symlink_to(tmp_path / "else")
    fails(OutputExists, server, tmp_path, "plain", words=("is a link",))
    assert names(tmp_path / "else") == []


def test_two_runs_dont_share_a_folder(server: Web, tmp_path: Path) -> None:
    with alone(tmp_path):
        fails(OutputExists, server, tmp_path, "plain", words=("another run",))
    assert server.asked == []


def test_what_must_be_named(server: Web, tmp_path: Path) -> None:
    fails(SettingsError, server, tmp_path, words=("name the data sets", "--list"))
    with pytest.raises(SettingsError, match="--output"):
        list(fetch_data(["plain"], None, known=KNOWN))
    with pytest.raises(SettingsError, match="--mirror"):
        list(fetch_data(["plain"], tmp_path / "out", "ftp://x", known=KNOWN))
    fails(SettingsError, server, tmp_path, "plane", words=("did you mean 'plain'",))
    fails(SettingsError, server, tmp_path, "../plain", words=("no data set is known",))
    assert names(tmp_path) == []


def test_a_full_disk_leaves_nothing_half_made(server: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module, "write_json", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        fails(Exception, server, tmp_path, "plain", words=("No space left",))
    assert not (tmp_path / "plain").exists()
    get(server, tmp_path, "plain")
    assert whole(tmp_path, "plain")
    assert len(server.asked) == 3, "what was fetched was still there"


def test_the_list_asks_nobody(server: Web) -> None:
    rows = [line.split("\t") for line in list_public([], f"{server.address}/m", known=KNOWN)]
    assert [row[:2] for row in rows[:4]] == [
        ["plain", "train"],
        ["plain", "dev"],
        ["plain", "test"],
        ["drawn", "train"],
    ]
    assert rows[0][2:] == [f"{server.address}/m{PLAIN['train']}", "CC0"]
    assert list(list_public(["Dra"], known=KNOWN)) == [
        f"drawn\ttrain\thttps://raw.githubusercontent.com{place('d/all.txt')}\tCC0"
    ]
    assert server.asked == []


def test_the_command(server: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The package's own tables: listed, and asked for at a server that has none of it."""
    run(["data", "fetch", "--list", "Pol", "wikigold"])
    assert len(capsys.readouterr().out.splitlines()) == 4
    with pytest.raises(SystemExit) as ended:
        run(["data", "fetch", "jnlpba", "crossner_ai", "-o", str(tmp_path / "out"), "--mirror", server.address])
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("crossner_ai: licence: MIT; text CC BY-SA (")
    assert "jnlpba: no public address in this form" in shown.err
    assert "(status 404)" in shown.err
    assert names(tmp_path / "out") == []


def run(arguments: list[str]) -> None:
    try:
        main(arguments)
    except SystemExit as end:
        if end.code:
            raise
