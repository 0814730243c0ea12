"""spaCy: a pipeline's documents have the tagger's entities, and a saved pipeline has its tagger."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("spacy")

import spacy
from spacy.tokens import Doc, DocBin, Span

from nerbert.errors import InputError, NerbertError, OutputExists
from nerbert.integrations.spacy import TaggingComponent
from nerbert.records import Span as Found
from nerbert.tagger.pending import TagRequest
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger
from tests.raised import raises

pytestmark = pytest.mark.extras
ROOT = Path(__file__).parents[2]
TEXTS = [f"The brig Margarethe {number} was built by Larsen & Holm in Tromsø." for number in range(20)]


Entities = dict[str, list[tuple[int, int, str, float]]]


def pipeline(tagger: object, **config: object) -> Any:
    nlp = spacy.blank("en")
    nlp.add_pipe("nerbert", config={"model": str(tagger), **config})
    return nlp


class Scripted:
    """A tagger whose entities are given by text; without any it refuses the text."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    def tag(self, text: str) -> Spans:
        if text not in self._entities:
            raise InputError(f"{text}: refused")
        return Spans(
            text, [Found(start, end, type_, text[start:end], sure) for start, end, type_, sure in self._entities[text]]
        )

    def tag_batch(self, requests: Iterable[TagRequest]) -> list[Spans | NerbertError]:
        return [
            self.tag(text) if text in self._entities else InputError(f"{text}: refused")
            for text in (str(each.text) for each in requests)
        ]


def scripted(entities: Entities, *, overwrite_ents: bool = False) -> TaggingComponent:
    """Return a component with a scripted tagger; it has loaded none, as in a pipeline that is being loaded."""
    nlp = spacy.blank("en")
    nlp.meta = {"components": ["nerbert"]}
    made = nlp.add_pipe("nerbert", config={"model": "", "overwrite_ents": overwrite_ents})
    assert isinstance(made, TaggingComponent)
    made._tagger = Scripted(entities)  # type: ignore[assignment]
    return made


def ents(doc: Any) -> list[tuple[str, str]]:
    return [(each.text, each.label_) for each in doc.ents]


def test_a_documents_entities_are_the_taggers_one_by_one_and_in_batches_of_any_size(tiny_tagger: Path) -> None:
    nlp, tagger = pipeline(tiny_tagger, precision="fp32"), Tagger.load(tiny_tagger, precision="fp32")
    assert nlp.pipe_labels["nerbert"] == tagger.types
    texts = [*TEXTS, "", " \n "]
    wanted = [tagger.tag(text) for text in texts]
    assert any(wanted)
    for docs in (map(nlp, texts), *(nlp.pipe(texts, batch_size=size) for size in (1, 7, 1000))):
        for doc, text, spans in zip(docs, texts, wanted, strict=True):
            group = doc.spans["nerbert"]
            assert doc.text == text
            assert [(each.start_char, each.end_char, each.label_) for each in group] == [
                (each.start, each.end, each.type) for each in spans
            ]
            assert group.attrs["scores"].tolist() == pytest.approx([each.confidence for each in spans], abs=1e-5)
            assert ents(doc) == [(each.text, each.type) for each in spans]


def test_entities_grow_to_whole_tokens_and_none_is_lost() -> None:
    """Where two are one token then, `doc.ents` has the surer one, and `doc.spans` both."""
    doc = Doc(spacy.blank("en").vocab, words=["At", "Larsen&Holm", "of", "pre-1900", "Oslo"])
    found = [(3, 9, "person", 0.6), (10, 14, "firm", 0.9), (22, 26, "year", 0.5), (22, 31, "place", 0.4)]
    doc = scripted({doc.text: found})(doc)
    assert [(each.text, each.label_) for each in doc.spans["nerbert"]] == [
        ("Larsen&Holm", "person"),
        ("Larsen&Holm", "firm"),
        ("pre-1900", "year"),
        ("pre-1900 Oslo", "place"),
    ]
    assert doc.spans["nerbert"].attrs["scores"].tolist() == [0.6, 0.9, 0.5, 0.4]
    assert ents(doc) == [("Larsen&Holm", "firm"), ("pre-1900 Oslo", "place")]
    again = next(iter(DocBin(docs=[doc], store_user_data=True).get_docs(doc.vocab)))
    assert again.spans["nerbert"].attrs["scores"].tolist() == [0.6, 0.9, 0.5, 0.4]
    doc = Doc(spacy.blank("en").vocab, words=["in", "\u0301Oslo"])  # a grapheme begins with the space between them
    doc = scripted({doc.text: [(2, 8, "place", 0.5)]})(doc)
    assert [(each.start, each.end) for each in doc.spans["nerbert"]] == [(1, 2)]


@pytest.mark.parametrize(("overwrite", "wanted"), [(False, "ORG"), (True, "ship")])
def test_entities_of_other_components_stay_unless_they_are_to_be_overwritten(overwrite: bool, wanted: str) -> None:
    doc = Doc(spacy.blank("en").vocab, words=["Ingeborg", "left", "Oslo", "with", "Ann"])
    doc.ents = [Span(doc, 0, 1, "ORG"), Span(doc, 2, 3, "GPE", kb_id="Q585")]
    found = [(0, 8, "ship", 0.9), (24, 27, "person", 0.9)]
    doc = scripted({doc.text: found}, overwrite_ents=overwrite)(doc)
    assert ents(doc) == [("Ingeborg", wanted), ("Oslo", "GPE"), ("Ann", "person")]
    assert doc.ents[1].kb_id_ == "Q585"
    assert len(doc.spans["nerbert"]) == 2


def test_a_refused_document_fails_alone() -> None:
    nlp = spacy.blank("en")
    docs = [nlp(word) for word in ("Oslo", "bad", "Bergen")]
    component = scripted({"Oslo": [(0, 4, "port", 0.5)], "Bergen": [(0, 6, "port", 0.5)]})
    with raises(InputError, "bad: refused"):
        list(component.pipe(docs))
    told = list[tuple[str, str, str]]()
    component.set_error_handler(lambda name, _, docs, error: told.append((name, docs[0].text, str(error))))
    assert [ents(doc) for doc in component.pipe(docs)] == [[("Oslo", "port")], [("Bergen", "port")]]
    assert told == [("nerbert", "bad", "bad: refused")]


def test_labels_at_run_time_and_two_taggers_in_one_pipeline(tiny_tagger: Path) -> None:
    nlp = pipeline("embedded-open", labels=["person: a human being", "city"], thresholds={"city": 0.3})
    nlp.add_pipe("nerbert", name="ships", config={"model": str(tiny_tagger)})
    doc = nlp("Marie Curie was born in Warsaw.")
    group = doc.spans["nerbert"]
    assert [(each.text, each.label_) for each in group] == [("Marie Curie", "person"), ("Warsaw", "city")]
    assert set(doc.spans) == {"nerbert", "ships"}
    assert nlp.get_pipe("nerbert").tagger.thresholds["city"] == 0.3


def test_what_cant_work_is_refused(tiny_tagger: Path, tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    with raises(InputError, "give labels"):
        nlp.add_pipe("nerbert", config={"model": "embedded-open"})
    assert nlp.pipe_names == []
    notes = tmp_path / "nerbert" / "tagger" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    with raises(OutputExists):
        pipeline(tiny_tagger).to_disk(tmp_path)
    assert notes.read_text() == "mine", "a folder of something else is not replaced"


def test_a_saved_pipeline_is_whole_and_can_be_saved_again(tiny_tagger: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    nlp = pipeline(copied)
    wanted = ents(nlp(TEXTS[0]))
    assert wanted
    nlp.to_disk(tmp_path / "nlp")
    nlp.to_disk(tmp_path / "nlp")  # replaced
    shutil.rmtree(copied)
    again = spacy.load(tmp_path / "nlp")
    again.to_disk(tmp_path / "nlp")  # onto itself
    again.to_disk(tmp_path / "other")
    assert ents(spacy.load(tmp_path / "other")(TEXTS[0])) == wanted
    assert ents(spacy.load(tmp_path / "nlp", disable=["nerbert"])(TEXTS[0])) == []


CHILD = """
import sys, spacy
nlp = spacy.load(sys.argv[1])
docs = list(nlp.pipe(["The brig Margarethe was built by Larsen & Holm."] * 5, n_process=2, batch_size=2))
print([[(each.text, each.label_) for each in doc.ents] for doc in docs])
"""


def test_another_process_loads_it_by_the_entry_point_and_forks(tiny_tagger: Path, tmp_path: Path) -> None:
    """The entry point is pyproject.toml's, whatever is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = tmp_path / "site" / "nerbert-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: nerbert\nVersion: 0\n")
    lines = [f"{name} = {place}" for name, place in project["entry-points"]["spacy_factories"].items()]
    (installed / "entry_points.txt").write_text("\n".join(["[spacy_factories]", *lines]))
    nlp = pipeline(tiny_tagger)
    nlp.to_disk(tmp_path / "nlp")
    paths = os.pathsep.join([str(installed.parent), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, tmp_path / "nlp"],
        cwd=tmp_path,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
    )
    wanted = ents(nlp("The brig Margarethe was built by Larsen & Holm."))
    assert wanted
    assert done.stdout == f"{[wanted] * 5}\n"
