"""Annotated texts without words, scored: they are cut as the tagger cuts raw text."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import nerbert
from nerbert.formats import documents
from nerbert.tagger.calibrate import calibrate
from nerbert.tagger.export import export
from nerbert.tagger.tagger import Tagger
from tests.calls import noted
from tests.tagger.jobs.rows import write_rows

OLD = "unicode-words-1"
"""Leaves a Korean word whole, where the newest splitter cuts it into syllables."""


@pytest.fixture
def data(sample: Path, tmp_path: Path) -> Path:
    """A few of the sample's dev sentences as texts, and a Korean one."""
    dev = nerbert.read_data(sample / "domain", splits=("train", "dev")).dev[:10]
    entities = [[{"start": span.start, "end": span.end, "label": span.type} for span in each.spans] for each in dev]
    write_rows(
        tmp_path / "dev.jsonl",
        [
            *({"text": each.text, "entities": spans} for each, spans in zip(dev, entities, strict=True)),
            {"text": "Am 3. Oktober in 서울에서.", "entities": [{"start": 17, "end": 19, "label": "place"}]},
        ],
    )
    return tmp_path / "dev.jsonl"


SCORES: dict[str, Callable[[Path, Path], object]] = {
    "evaluated": nerbert.evaluate,
    "loaded": lambda folder, data: nerbert.evaluate(Tagger.load(folder), data),
    "constructed": lambda folder, data: nerbert.evaluate(Tagger(Tagger.load(folder).head, OLD, "de"), data),
    "calibrated": calibrate,
    "exported": lambda folder, data: export(folder, data=data),
}


@pytest.mark.parametrize(
    "how", [pytest.param(name, marks=pytest.mark.extras) if name == "exported" else name for name in SCORES]
)
def test_texts_are_cut_as_the_tagger_cuts_them(
    folder: Path, data: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = json.loads((folder / "nerbert.json").read_text())
    (folder / "nerbert.json").write_text(json.dumps(card | {"word_splitter": OLD, "language": "de"}))
    splitters = noted(monkeypatch, documents, "split_words", lambda text, splitter="": splitter)
    languages = noted(monkeypatch, documents, "splitter_for", lambda language, text: language)
    SCORES[how](folder, data)
    assert ({*splitters} - {""}, {*languages}) == ({OLD}, {"de"})
