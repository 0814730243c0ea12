"""Annotated texts without words, scored: they are cut as the tagger cuts raw text."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import nerbert
from nerbert.formats import documents
from nerbert.sentences import RuleSplitter
from nerbert.tagger.calibrate import calibrate
from nerbert.tagger.export import export
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words

OLD = "unicode-words-1"
"""Leaves a Korean word whole, where the newest splitter cuts it into syllables."""


@pytest.fixture
def folder(tiny_tagger: Path, tmp_path: Path) -> Path:
    """A tagger with an older splitter."""
    made = tmp_path / "tagger"
    shutil.copytree(tiny_tagger, made)
    card = json.loads((made / "nerbert.json").read_text())
    (made / "nerbert.json").write_text(json.dumps(card | {"word_splitter": OLD, "language": "de"}))
    return made


@pytest.fixture
def data(sample: Path, tmp_path: Path) -> Path:
    """The sample's dev sentences as texts, and a Korean one, for dev and test."""
    made = tmp_path / "data"
    made.mkdir()
    read = nerbert.read_data(sample / "domain", splits=("train", "dev"))
    rows = [
        {"text": each.text, "entities": [{"start": span.start, "end": span.end, "label": span.type}
                                         for span in each.spans]}
        for each in read.dev
    ]  # fmt: skip
    rows.append({"text": "Am 3. Oktober in 서울에서.", "entities": [{"start": 17, "end": 19, "label": "place"}]})
    for split in ("dev", "test"):
        (made / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return made


def _evaluated(folder: Path, data: Path) -> None:
    nerbert.evaluate(folder, data)


def _loaded(folder: Path, data: Path) -> None:
    nerbert.evaluate(Tagger.load(folder), data)


def _constructed(folder: Path, data: Path) -> None:
    nerbert.evaluate(Tagger(Tagger.load(folder).head, OLD, "de"), data)


def _calibrated(folder: Path, data: Path) -> None:
    calibrate(folder, data)


def _exported(folder: Path, data: Path) -> None:
    export(folder, data=data)


@pytest.mark.parametrize("score", [_evaluated, _loaded, _constructed, _calibrated, _exported])
def test_texts_are_cut_as_the_tagger_cuts_them(
    folder: Path, data: Path, score: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    splitters, languages = set[str](), set[str]()

    def spied(text: str, splitter: str = "") -> tuple[tuple[int, int], ...]:
        splitters.add(splitter)
        return split_words(text, splitter or OLD)

    def told(language: str) -> RuleSplitter:
        languages.add(language)
        return RuleSplitter(language)

    monkeypatch.setattr(documents, "split_words", spied)
    monkeypatch.setattr(documents, "_splitter", told)
    score(folder, data)
    assert (splitters - {""}, languages) == ({OLD}, {"de"})
