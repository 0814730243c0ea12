import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.sentences.punkt import (
    PunktModel,
    PunktSplitter,
    digest,
    listed_model,
    load_punkt,
    load_punkt_tab,
    save_punkt,
)
from nerbert.corpus.sentences.punkt_training import train_on_corpus, train_punkt
from nerbert.corpus.sentences.splitter import open_splitter
from nerbert.corpus.settings import CorpusSettings
from nerbert.errors import InputError, OutputExists

TEXT = (
    "Herr Kowl. Meier kam nach Oslo. Er sah Kowl. Zander und ging. Dann kam Kowl. Arnold. Er blieb bei Kowl. Ludwig.\n"
)


@pytest.fixture(scope="module")
def trained() -> PunktModel:
    """Punkt that has seen "Kowl." often."""
    return train_punkt([TEXT * 5] * 4, "de")


def write_tab(model: PunktModel, folder: Path) -> None:
    """Write parameters as NLTK's `save_punkt_params` does, which writes nowhere but in its own data folders."""
    folder.mkdir(parents=True)
    rows = {
        "abbrev_types.txt": model.abbreviations,
        "collocations.tab": {"\t".join(pair) for pair in model.collocations},
        "sent_starters.txt": model.starters,
        "ortho_context.tab": {f"{word}\t{bits}" for word, bits in model.contexts},
    }
    for name, lines in rows.items():
        (folder / name).write_text("\n".join(lines), encoding="utf-8")


def split(model: PunktModel, text: str) -> list[str]:
    return [text[start:end] for start, end in PunktSplitter("x", model).spans(text)]


def test_training_learns_an_abbreviation(trained: PunktModel) -> None:
    assert "kowl" in trained.abbreviations - listed_model("de").abbreviations
    text = "Es kam Kowl. Meier. Er ging."
    assert split(trained, text) == ["Es kam Kowl. Meier.", "Er ging."]
    assert split(listed_model("de"), text) == ["Es kam Kowl.", "Meier.", "Er ging."]


def test_json_round_trip(trained: PunktModel, tmp_path: Path) -> None:
    save_punkt(trained, tmp_path / "a.json")
    loaded = load_punkt(tmp_path / "a.json")
    save_punkt(loaded, tmp_path / "b.json")
    assert loaded == trained
    assert digest(loaded) == digest(trained) != digest(listed_model("de"))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("given", ["punkt_tab", "punkt_tab/german"])
def test_punkt_tab_round_trip(trained: PunktModel, tmp_path: Path, given: str) -> None:
    write_tab(trained, tmp_path / "punkt_tab" / "german")
    loaded = load_punkt_tab(tmp_path / given, "de")
    assert digest(loaded) == digest(trained)
    settings = CorpusSettings(sentence_splitter="punkt", punkt_model=str(tmp_path / given))
    assert open_splitter(settings, "de").name == f"punkt-1 {digest(trained)}"
    assert open_splitter(settings, "de").spans(TEXT) == PunktSplitter("x", trained).spans(TEXT)


def test_punkt_tab_is_read_as_nltk_reads_it(trained: PunktModel, tmp_path: Path) -> None:
    from nltk.tabdata import PunktDecoder

    write_tab(trained, tmp_path / "german")
    decoder, loaded = PunktDecoder(), load_punkt_tab(tmp_path / "german", "de")
    with (tmp_path / "german/ortho_context.tab").open(encoding="utf-8") as stream:
        assert dict(decoder.tab2intdict(stream)) == dict(loaded.contexts)
    with (tmp_path / "german/abbrev_types.txt").open(encoding="utf-8") as stream:
        assert decoder.txt2set(stream) == loaded.abbreviations
    with (tmp_path / "german/collocations.tab").open(encoding="utf-8") as stream:
        assert set(decoder.tab2tups(stream)) == loaded.collocations


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("abbrev_types.txt", None, "can't be read"),
        ("ortho_context.tab", None, "can't be read"),
        ("abbrev_types.txt", b"a\tb\n", "abbrev_types.txt:1: 2 columns"),
        ("collocations.tab", b"a\tb\nc\n", "collocations.tab:2: 1 columns"),
        ("sent_starters.txt", b"a\n\nb\n", "sent_starters.txt:2: 1 columns, some empty"),
        ("ortho_context.tab", b"a\t1\nb\tx\n", "ortho_context.tab:2: 'x' is no number"),
        ("ortho_context.tab", b"a\t9999999999\n", "ortho_context.tab:1: '9999999999' is no number from 0 to 255"),
        ("sent_starters.txt", b"\xff\xfe\n", "not text in UTF-8"),
    ],
)
def test_damaged_punkt_tab(trained: PunktModel, tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    write_tab(trained, tmp_path / "german")
    if content is None:
        (tmp_path / "german" / name).unlink()
    else:
        (tmp_path / "german" / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        load_punkt_tab(tmp_path, "de")
    assert message in str(error.value)
    assert str(tmp_path / "german" / name) in str(error.value)


def test_a_folder_without_the_language(trained: PunktModel, tmp_path: Path) -> None:
    write_tab(trained, tmp_path / "german")
    with pytest.raises(InputError, match="no folder 'english' for language 'en' in it"):
        load_punkt_tab(tmp_path, "en")
    with pytest.raises(InputError, match="no folder; `punkt` takes"):
        load_punkt_tab(tmp_path / "none", "en")


def _changed(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda value: {**value, **changes}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: [], "not a Punkt model of format"),
        (_changed(format="nerbert-punkt-9"), "not a Punkt model of format"),
        (_changed(abbreviations="dr"), "'abbreviations' must be a list of words"),
        (_changed(abbreviations=[1]), "'abbreviations' must be a list of words"),
        (_changed(abbreviations=[""]), "'abbreviations' must be a list of words"),
        (_changed(starters=None), "'starters' must be a list of words"),
        (_changed(collocations=[["a"]]), "'collocations' must be a list of pairs"),
        (_changed(collocations=[["a", []]]), "'collocations' must be a list of words"),
        (_changed(collocations={}), "'collocations' must be a list of pairs"),
        (_changed(contexts=[]), "'contexts' must map words to whole numbers"),
        (_changed(contexts={"a": True}), "'contexts' must map words to whole numbers"),
        (_changed(contexts={"a": 10**9}), "'contexts' must map words to whole numbers"),
        (_changed(contexts={"a": 1.0}), "'contexts' must map words to whole numbers"),
    ],
)
def test_bad_json_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    path = tmp_path / "punkt.json"
    save_punkt(listed_model("en"), path)
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_punkt(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ("[" * 100_000, "not JSON"), (None, "can't be read"), ("\udcff", "UTF-8")],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "punkt.json"
    if content is not None:
        path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as error:
        load_punkt(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_punkt(listed_model("en"), tmp_path / "punkt.json")
    monkeypatch.setattr("nerbert.corpus.sentences.punkt._LIMIT", 100)
    with pytest.raises(InputError, match="more than the 100 allowed"):
        load_punkt(tmp_path / "punkt.json")


def test_training_on_a_corpus(sample_corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "punkt.json"
    model = train_on_corpus(sample_corpus, output)
    assert load_punkt(output) == model
    assert model.contexts
    before = output.read_bytes()
    with pytest.raises(OutputExists):
        train_on_corpus(sample_corpus, output)
    train_on_corpus(sample_corpus, output, overwrite=True)
    assert output.read_bytes() == before
    with pytest.raises(InputError, match="no such corpus folder"):
        train_on_corpus(tmp_path / "none", tmp_path / "other.json")
    with pytest.raises(OutputExists):
        train_on_corpus(sample_corpus, tmp_path, overwrite=True)


def test_training_reads_no_more_than_it_is_told(sample_corpus: Path, tmp_path: Path) -> None:
    assert train_on_corpus(sample_corpus, tmp_path / "a.json", characters=1).contexts
