"""Punkt, held to NLTK's own splitter, trainer and reader of models."""

import bz2
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nerbert.config import make_settings
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.pages import fingerprint
from nerbert.corpus.punkt import PunktSplitter, open_splitter, train_punkt
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import read_sentences, read_table, shard_paths
from nerbert.errors import InputError, MissingExtra, OutputExists, SettingsError
from nerbert.executors import LocalExecutor
from nerbert.sentences import RuleSplitter
from tests.commands import exit_code
from tests.stages import CorpusPlan, build_corpus

pytest.importorskip("nltk")
import nltk
from nltk.tokenize.punkt import PunktSentenceTokenizer, PunktTokenizer, PunktTrainer

pytestmark = pytest.mark.extras
LINES = (
    "Herr Kowl. Meier kam nach [[Oslo]]. Er sah Kowl. Zander und ging. Dann kam Kowl. Arnold.",
    "Er blieb bei Kowl. Ludwig. Das war alles! War es das? Er ging [[Kowl|Heim. Dann]] kam er.",
)
TEXT = "\n".join(LINES).replace("[[Kowl|Heim. Dann]]", "Heim. Dann").replace("[[", "").replace("]]", "")
PAGES = 30


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Articles with an abbreviation that no list knows, and pages that are none."""
    text = '<mediawiki xml:lang="de"><siteinfo><dbname>dewiki</dbname></siteinfo>'
    articles = [(0, "wikitext", "\n\n".join(LINES))] * PAGES
    others = [(ns, model, "Man sagt Talkabk. Meier dazu. " * 20) for ns, model in ((1, "wikitext"), (0, "css"))]
    for number, (ns, model, source) in enumerate(articles + others, 1):
        text += f"<page><title>P{number}</title><ns>{ns}</ns><id>{number}</id><revision><id>{number}</id>"
        text += f"<model>{model}</model><text>{source}</text></revision></page>\n"
    path = tmp_path_factory.mktemp("dump") / "wiki.xml"
    path.write_text(text + "</mediawiki>")
    return path


@pytest.fixture(scope="module")
def model(dump: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model learnt from the dump."""
    folder = tmp_path_factory.mktemp("model") / "punkt"
    train_punkt((dump,), folder, 1_000_000)
    return folder


@pytest.fixture(scope="module")
def learnt() -> Any:
    """What NLTK learns from the same articles."""
    return PunktTrainer((TEXT.replace("\n", "\n\n") + "\n\n") * PAGES).get_params()


def settings_of(model: Path, **more: Any) -> CorpusSettings:
    return CorpusSettings(sentence_splitter="punkt", punkt_model=str(model), **more)


def split(model: Path, text: str) -> list[str]:
    return [text[start:end] for start, end in open_splitter(settings_of(model), "de").spans(text)]


def by_nltk(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    """NLTK on each line, as its own places in the text."""
    places, begin = list[tuple[int, int]](), 0
    for line in text.split("\n"):
        for sentence in tokenizer.tokenize(line):
            start = text.index(sentence.strip(), places[-1][1] if places else begin)
            places.append((start, start + len(sentence.strip())))
        begin += len(line) + 1
    return places


@pytest.mark.parametrize(
    "text", [TEXT, f"  {TEXT} \n\n \n{TEXT}", "", " \n", "Kowl. A", "a. " * 3000, 'Er rief: "Ja." (So.) Dann.']
)
def test_spans_are_those_of_nltk_on_each_paragraph(model: Path, learnt: Any, text: str) -> None:
    spans = open_splitter(settings_of(model), "de").spans(text)
    assert spans == by_nltk(PunktSentenceTokenizer(learnt), text)
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)


def test_a_learnt_abbreviation_ends_no_sentence(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "none")
    (tmp_path / "none" / "abbrev_types.txt").write_text("")
    text = "Es kam Kowl. Meier. Er ging."
    assert split(model, text) == ["Es kam Kowl. Meier.", "Er ging."]
    assert split(tmp_path / "none", text) == ["Es kam Kowl.", "Meier.", "Er ging."]
    names = {open_splitter(settings_of(folder), "de").name for folder in (model, tmp_path / "none")}
    assert len(names) == 2
    assert all(name.startswith(f"punkt-{nltk.__version__} ") for name in names)


def test_a_model_is_decoded_once_and_anew_when_it_changes(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "punkt")
    one, other = (open_splitter(settings_of(tmp_path / "punkt"), "de") for _ in range(2))
    assert one._punkt is other._punkt  # type: ignore[union-attr]
    (tmp_path / "punkt" / "abbrev_types.txt").write_text("")
    assert len(split(tmp_path / "punkt", "Es kam Kowl. Meier.")) == 2


def test_a_half_made_corpus_of_another_model_begins_anew(model: Path, dump: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "punkt")
    dumps = [Dump(dump)]
    one, same = (fingerprint(dumps, settings_of(folder)) for folder in (model, tmp_path / "punkt"))
    (tmp_path / "punkt" / "abbrev_types.txt").write_text("")
    assert one == same != fingerprint(dumps, settings_of(tmp_path / "punkt"))


def test_a_model_is_what_nltk_learns_and_reads(
    model: Path, learnt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(model, tmp_path / "tokenizers" / "punkt_tab" / "own")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    read = PunktTokenizer("own")._params
    assert read.abbrev_types == learnt.abbrev_types
    assert set(read.collocations) == learnt.collocations
    assert read.sent_starters == learnt.sent_starters
    assert read.ortho_context == +Counter(learnt.ortho_context), "splitting adds zeros for words it asks for"
    assert "kowl" in learnt.abbrev_types
    assert "talkabk" not in learnt.abbrev_types


def test_the_text_to_learn_from_is_cut(dump: Path, tmp_path: Path) -> None:
    assert exit_code("corpus", "punkt", dump, "-o", tmp_path / "one", "--characters", "100") == 0
    train_punkt((dump, dump), tmp_path / "two", 100)
    learnt = PunktTrainer(TEXT.replace("\n", "\n\n")[:100]).get_params()
    assert (tmp_path / "one" / "abbrev_types.txt").read_text().split() == sorted(learnt.abbrev_types)
    for name in ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with pytest.raises(OutputExists, match="--overwrite"):
        train_punkt((dump,), tmp_path / "one", 100)
    train_punkt((dump,), tmp_path / "one", 200, overwrite=True)
    with pytest.raises(SettingsError, match="characters = 0: must be at least 1"):
        train_punkt((dump,), tmp_path / "three", 0)


def test_an_index_is_no_dump_and_an_address_keeps_its_secrets(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, index = tmp_path / "w-multistream.xml.bz2", tmp_path / "w-multistream-index.txt.bz2"
    packed.write_bytes(bz2.compress(dump.read_bytes()))
    index.write_bytes(bz2.compress(b"0:1:P1\n"))
    train_punkt((packed, index), tmp_path / "one", 1_000_000)
    assert json.loads((tmp_path / "one" / "manifest.json").read_text())["inputs"] == [packed.name]
    monkeypatch.setattr("nerbert.corpus.near.Dump", lambda _: Dump(packed))
    train_punkt(("https://me:secret@example.org/w.xml.bz2?key=secret",), tmp_path / "two", 100)
    assert json.loads((tmp_path / "two" / "manifest.json").read_text())["inputs"] == ["w.xml.bz2"]


def test_a_dump_without_an_article(tmp_path: Path) -> None:
    (tmp_path / "none.xml").write_text("<mediawiki><siteinfo></siteinfo></mediawiki>")
    with pytest.raises(InputError, match=r"none\.xml: no article to learn from"):
        train_punkt((tmp_path / "none.xml",), tmp_path / "out", 100)
    with pytest.raises(InputError, match="no dump: no article to learn from; give a dump"):
        train_punkt((), tmp_path / "out", 100)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("sent_starters.txt", None, "sent_starters.txt: can't be read as part of .*: No such file or directory; name"),
        ("ortho_context.tab", b"a\t1\nb\tx\n", "not a Punkt model; name .* invalid literal"),
        ("ortho_context.tab", b"a\n", "not a Punkt model"),
        ("abbrev_types.txt", b"\xff\xfe\n", "not a Punkt model.*utf-8"),
    ],
)
def test_what_is_no_model_is_refused_before_anything_is_read(
    model: Path, tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    shutil.copytree(model, tmp_path / "punkt")
    if content is None:
        (tmp_path / "punkt" / name).unlink()
    else:
        (tmp_path / "punkt" / name).write_bytes(content)
    plan = CorpusPlan((tmp_path / "no.xml",), (), tmp_path / "out")
    with pytest.raises(InputError, match=f"punkt.*{reason}"):
        build_corpus(plan, settings_of(tmp_path / "punkt"))


def test_a_models_file_without_an_end_is_refused(model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "punkt"))
    (folder / "abbrev_types.txt").unlink()
    (folder / "abbrev_types.txt").symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"abbrev_types.txt: no file of at most 256 MB; name"):
        PunktSplitter(folder)


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("punkt", "", "punkt_model = '': must be a folder with sentence_splitter 'punkt'"),
        ("rules", "x", "punkt_model = 'x': must be empty with sentence_splitter 'rules'"),
        ("blingfire", "", "sentence_splitter = 'blingfire': must be 'rules' or 'punkt'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(name: str, model: str, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        make_settings(CorpusSettings, {"sentence_splitter": name, "punkt_model": model})
    assert message in str(error.value)


def test_without_nltk_the_extra_is_named(model: Path, dump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"nltk not installed: pip install 'nerbert\[punkt\]'"):
        open_splitter(settings_of(model), "de")
    with pytest.raises(MissingExtra, match=r"nerbert\[punkt\]"):
        train_punkt((dump,), model, 100)
    assert isinstance(open_splitter(CorpusSettings(), "de"), RuleSplitter)


def test_a_corpus_by_punkt_is_the_same_from_a_worker(dump: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("title\tclass\nOslo\tCity\nKowl\tPerson\n")
    settings = settings_of(model, min_mentions=1, split_bytes=2000)
    manifests = []
    for workers in (1, 2):
        plan = CorpusPlan((dump,), (tmp_path / "t.tsv",), tmp_path / f"out{workers}")
        with LocalExecutor(workers) as executor:
            manifests.append(build_corpus(plan, settings, executor=executor).manifest)
    assert manifests[0] == manifests[1]
    assert manifests[0]["sentence_splitter"] == open_splitter(settings, "de").name
    assert manifests[0]["settings"]["punkt_model"] == "punkt"
    texts = {text for path in shard_paths(tmp_path / "out1" / "pages") for text in read_table(path)["text"].to_pylist()}
    assert "Herr Kowl. Meier kam nach Oslo." in texts
    assert "Er ging Heim. Dann kam er." in texts, "no border in a link"
    mentioned = {s.text[m.start : m.end] for s in read_sentences(tmp_path / "out1") for m in s.mentions}
    assert mentioned == {"Oslo", "Heim. Dann"}
