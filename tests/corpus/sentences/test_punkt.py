from pathlib import Path
from typing import Any

import pytest
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer, PunktTrainer

from nerbert.corpus.sentences.punkt import PunktSplitter
from nerbert.corpus.sentences.splitter import open_splitter
from nerbert.corpus.settings import CorpusSettings
from nerbert.errors import InputError, MissingExtra

TEXT = (
    "Herr Kowl. Meier kam nach Oslo. Er sah Kowl. Zander und ging. Dann kam Kowl. Arnold. Er blieb bei Kowl. Ludwig.\n"
)


@pytest.fixture(scope="module")
def trained() -> Any:
    """Parameters of Punkt that has seen "Kowl." often."""
    trainer = PunktTrainer()
    for _ in range(4):
        trainer.train(TEXT.replace("\n", "\n\n") * 5, finalize=False)
    return trainer.get_params()


def write_tab(learnt: Any, folder: Path) -> None:
    """Write parameters as NLTK's `save_punkt_params` does, which writes nowhere but in its own data folders."""
    folder.mkdir(parents=True)
    rows = {
        "abbrev_types.txt": learnt.abbrev_types,
        "collocations.tab": {"\t".join(pair) for pair in learnt.collocations},
        "sent_starters.txt": learnt.sent_starters,
        "ortho_context.tab": [f"{word}\t{bits}" for word, bits in learnt.ortho_context.items() if bits],
    }
    for name, lines in rows.items():
        (folder / name).write_text("\n".join(sorted(lines)), encoding="utf-8")


def split(folder: Path, text: str) -> list[str]:
    return [text[start:end] for start, end in PunktSplitter(folder, "de").spans(text)]


def test_a_learnt_abbreviation_ends_no_sentence(trained: Any, tmp_path: Path) -> None:
    write_tab(trained, tmp_path / "german")
    write_tab(PunktParameters(), tmp_path / "empty")
    text = "Es kam Kowl. Meier. Er ging."
    assert split(tmp_path, text) == ["Es kam Kowl. Meier.", "Er ging."]
    assert split(tmp_path / "empty", text) == ["Es kam Kowl.", "Meier.", "Er ging."]
    assert PunktSplitter(tmp_path, "de").name != PunktSplitter(tmp_path / "empty", "de").name


def test_without_nltk_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"nltk not installed: pip install 'nerbert\[punkt\]'"):
        PunktSplitter(tmp_path, "de")


@pytest.mark.parametrize("given", ["punkt_tab", "punkt_tab/german"])
def test_sentences_are_nltks(trained: Any, tmp_path: Path, given: str) -> None:
    write_tab(trained, tmp_path / "punkt_tab" / "german")
    settings = CorpusSettings(sentence_splitter="punkt", punkt_model=str(tmp_path / given))
    splitter = open_splitter(settings, "de")
    assert splitter.name.startswith("punkt-1 ")
    assert splitter.spans(TEXT) == list(PunktSentenceTokenizer(trained).span_tokenize(TEXT.rstrip()))


def test_punkt_tab_is_read_as_nltk_reads_it(trained: Any, tmp_path: Path) -> None:
    from nltk.tabdata import PunktDecoder

    write_tab(trained, tmp_path / "german")
    decoder, loaded = PunktDecoder(), PunktSplitter(tmp_path, "de")._punkt._params
    with (tmp_path / "german/ortho_context.tab").open(encoding="utf-8") as stream:
        assert dict(decoder.tab2intdict(stream)) == dict(loaded.ortho_context) != {}
    with (tmp_path / "german/abbrev_types.txt").open(encoding="utf-8") as stream:
        assert decoder.txt2set(stream) == loaded.abbrev_types == trained.abbrev_types
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
def test_damaged_punkt_tab(trained: Any, tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    write_tab(trained, tmp_path / "german")
    if content is None:
        (tmp_path / "german" / name).unlink()
    else:
        (tmp_path / "german" / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        PunktSplitter(tmp_path, "de")
    assert message in str(error.value)
    assert str(tmp_path / "german" / name) in str(error.value)


def test_a_folder_without_the_language(trained: Any, tmp_path: Path) -> None:
    write_tab(trained, tmp_path / "german")
    with pytest.raises(InputError, match="no folder 'english' for language 'en' in it"):
        PunktSplitter(tmp_path, "en")
    with pytest.raises(InputError, match="no Punkt parameters and no folder 'english'"):
        PunktSplitter(tmp_path / "none", "en")


def test_a_file_that_is_too_large_is_not_read(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tab(trained, tmp_path / "german")
    monkeypatch.setattr("nerbert.corpus.sentences.punkt._LIMIT", 10)
    with pytest.raises(InputError, match="more than the 10 allowed"):
        PunktSplitter(tmp_path, "de")
