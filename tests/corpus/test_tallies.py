"""Topics by whole class paths, years by periods, and what the manifest makes of them."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from nerbert.corpus.build import most_first
from nerbert.corpus.funnel import TOPICS, Funnel, period_of, topic_of
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED, read_sentences
from nerbert.executors import LocalExecutor
from nerbert.label_sets import open_label_set
from tests.stages import CorpusPlan, build_corpus

MAP = "Agent\tagent\nPlace\tplace\n"


def test_topics() -> None:
    assert topic_of(("Agent", "Organisation", "Company")) == "organisations"
    assert topic_of(("Agent", "Person")) == "persons"
    assert topic_of(("person",)) == "persons"
    assert topic_of(("Place", "PopulatedPlace", "City")) == "places"
    assert topic_of(("Species", "Animal")) == topic_of(("No class of ours",)) == "others"
    assert topic_of(()) == "untyped"


def test_years() -> None:
    assert [period_of(year) for year in ("1066", "1800", "1899", "1900", "1999", "2026")] == [
        "1000–1099", "1800–1899", "1800–1899", "1900–1909", "1990–1999", "2020–2029",
    ]  # fmt: skip


def test_most_first() -> None:
    assert list(most_first({"b": 1, "c": 2, "a": 1}).items()) == [("c", 2), ("a", 1), ("b", 1)]


@pytest.mark.nightly
@pytest.mark.parametrize("label_set", ["paper315", "1type", "dbpedia", "map"])
def test_topics_are_those_of_each_mention_whatever_its_label(label_set: str, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "map").write_text(MAP)
    plan = CorpusPlan((sample / "wiki.xml",), (sample / "knowledge",), tmp_path / "corpus")
    name = str(tmp_path / "map") if label_set == "map" else label_set
    with LocalExecutor(2) as executor:
        settings = CorpusSettings(min_mentions=5, label_set=name, split_bytes=40_000)
        manifest = build_corpus(plan, settings, executor).manifest
    coarse, names = (
        open_label_set("4types"),
        {"person": "persons", "location": "places", "organisation": "organisations"},
    )
    mentions, copies = Counter[str](), Counter[str]()
    for sentence in read_sentences(plan.output, "train"):
        for mention in sentence.mentions:
            topic = names.get(coarse.label(mention.class_path), "others") if mention.class_path else "untyped"
            mentions[topic] += 1
            copies[topic] += sentence.copies
    assert manifest["topics"] == {n: {"mentions": mentions[n], "with_copies": copies[n]} for n in TOPICS}
    assert min(mentions[n] for n in TOPICS) > 0
    assert len(list((plan.output / "sentences").iterdir())) > 1
    assert f"| persons | {mentions['persons']:,} |" in (plan.output / "README.md").read_text()


def test_validation_counts_for_no_topic() -> None:
    funnel = Funnel()
    mention = {"start": 0, "end": 1, "target": "a", "resolved_target": "a", "class_path": ["Person"], "source": "",
               "category": "person"}  # fmt: skip
    row = {"id": "w:1:1:0", "wiki": "w", "page_id": 1, "revision": 1, "title": "t", "start": 0, "text": "a",
           "words": [{"start": 0, "end": 1}], "mentions": [mention], "copies": 3, "expected_copies": 3.0}  # fmt: skip
    funnel.count(pa.Table.from_pylist([row | {"split": split} for split in ("train", "validation")], schema=TYPED))
    assert [funnel.under("topics", kind) for kind in ("mentions", "with_copies")] == [{"persons": 1}, {"persons": 3}]
