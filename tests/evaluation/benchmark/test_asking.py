"""Zero-shot cells: what is asked for, by which threshold, what is scored, and what their keys hold."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.errors import InputError, SettingsError
from nerbert.evaluation.benchmark.cells import Cell, CellSentences, FoundEntities, Machine, Predictions, State
from nerbert.evaluation.benchmark.job import Job, score_part
from nerbert.evaluation.benchmark.plan import make_plan
from nerbert.evaluation.benchmark.runner import list_suite
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.suite import Published, Suite, SystemSettings, Target
from nerbert.evaluation.benchmark.systems.finetuned import Encoder
from nerbert.evaluation.benchmark.systems.learnt import Learnt, learnt_digest, learnt_types
from nerbert.evaluation.benchmark.systems.zero_shot import (
    ZeroShotTagger,
    asked_labels,
    seen_entities,
    shuffled,
)
from nerbert.evaluation.tables.table import make_table
from nerbert.finetuning.sampling import draw_subset
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.conll import example_of
from nerbert.formats.examples import read_examples
from nerbert.metrics.calibration import uncalibrated
from nerbert.model.concept_table import class_words
from nerbert.records import TRAIN
from nerbert.tagger.tagger import Tagger
from tests.evaluation.benchmark.outcome import cells_of, made
from tests.evaluation.tables.made_up import entry, grid_of
from tests.raised import raises
from tests.tagger.test_concept_backends import made as made_concepts
from tests.tagger.test_labels import NamesHead

CPU = Machine("cpu", "fp32")
LEARNT = [
    {"text": "The Ingeborg left Oslo.", "entities": [{"start": 4, "end": 12, "type": "Ship"},
     {"start": 18, "end": 22, "type": "harbour town"}, {"start": 18, "end": 22, "type": "city"}], "asked": "all"},
    {"text": "Larsen&Holm of Oslo", "entities": [{"start": 0, "end": 11, "type": "person"},
     {"start": 15, "end": 19, "type": "person"}], "asked": "all"},
    {"text": "Oslo", "entities": [{"start": 0, "end": 4, "type": "harbour town"}], "asked": "all"},
]  # fmt: skip
SHIPS = example_of(["Ingeborg", "left", "Oslo"], ["B-ship", "O", "B-place"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A concept encoder with random weights, which finds much; read only."""
    return made_concepts(tmp_path_factory.mktemp("zero") / "encoder")


@pytest.fixture
def learnt(tmp_path: Path) -> Path:
    path = tmp_path / "learnt.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in LEARNT))
    return path


def suite_of(systems: dict[str, SystemSettings], **target: Any) -> Suite:
    return Suite(
        name="s", title="S", systems=systems, targets=(Target(**{"data": "ships", "sizes": (0,), **target}),),
        seeds=(1, 2), protocols={"p": FinetuneSettings(precision="fp32")},
    )  # fmt: skip


def test_a_suite_is_run_and_its_table_has_every_figure(
    folder: Path, learnt: Path, tiny_encoder: Path, data: Path, tmp_path: Path
) -> None:
    systems = {
        "told": SystemSettings(encoder=str(folder), trained_on=(str(learnt),)),
        "shuffled": SystemSettings(encoder=str(folder), shuffled_labels=True),
        "seen": SystemSettings(seen_only=True, trained_on=(str(learnt),)),
        "not told": SystemSettings(encoder=str(tiny_encoder)),
    }
    suite = replace(
        suite_of(systems, else_types=("person",), labels=("ship", "place=harbour town", "person")),
        label_encoder=str(tiny_encoder),
        published=(Published(name="P", of="a paper", f1={"ships": 60.0}, token_f1={"ships": 67.0}, size="0"),),
    )
    cells = cells_of(suite, data, tmp_path / "out")
    done = {(each.place.system, each.place.seed): each for each in cells if each.state is State.DONE}
    assert {each.why for each in cells if each.state is not State.DONE} == {
        "zero-shot: its encoder takes no labels at run time"
    }
    assert sorted(done) == [(name, seed) for name in ("seen", "shuffled", "told") for seed in (1, 2)]
    assert len(made(tmp_path / "out")) == 2 * (1 + 2 + 1), "the seed is nothing but a shuffle's"

    told, seen = done["told", 1], done["seen", 1]
    asked = {"ship": "ship", "place": "harbour town", "person": "person"}
    assert told.facts["asked"] == asked
    assert sorted(done["shuffled", 2].facts["asked"].values()) == sorted(asked.values())
    assert not done["shuffled", 2].facts["asked"].items() & asked.items()
    assert told.scores["seen"] is None, "nothing was trained on"
    assert told.scores["without_else"]["gold"] == told.scores["micro"]["gold"] - 1
    assert seen.scores["micro"] == {
        "right": 3, "predicted": 3, "gold": 5, "precision": 1.0, "recall": 0.6, "f1": 0.75
    }  # fmt: skip
    assert 0 < told.scores["familiarity"] < 0.33, "six mentions of a thousand"
    assert told.scores["familiarity"] == seen.scores["familiarity"]
    table = make_table(suite, cells)
    columns = [head.text for head in grid_of(table, "zero_shot").heads[2:]]
    shown = {name: [entry(table, ("ships", name), column, "zero_shot").text for column in columns]
             for name in ("told", "seen", "P (published)")}  # fmt: skip
    assert shown["P (published)"] == ["60.00", *["–"] * 7, "67.00", "–", "–"]
    assert shown["seen"][0] == "75.00"
    assert shown["seen"][1] == "–"
    assert [name for name, text in zip(columns, shown["told"], strict=True) if text == "–"] == ["F1 of unseen names"]
    assert told.scores["at_own_threshold"]["seen_names"]["gold"] == 5, "all of its names were learnt"
    assert "seen_names" not in done["shuffled", 1].scores["at_own_threshold"], "nobody says what it learnt"
    spans = grid_of(table, "zero_shot_spans")
    assert [head.text for head in spans.heads[2:5]] == [
        "span F1 at 0.5", "span F1 at its own threshold", "span F1 at dev's threshold"
    ]  # fmt: skip
    assert entry(table, ("ships", "seen"), "type accuracy at 0.5", "zero_shot_spans").text == "100.00"
    assert entry(table, ("ships", "told"), "span F1 at its own threshold", "zero_shot_spans").text != "–"
    assert not any("greedy" in text.lower() or "finetune" in text for text in (
        *table.notes, *(grid.title for grid in table.grids), *(head.text for head in grid_of(table, "figures").heads)
    )), "nothing was trained"  # fmt: skip
    assert not entry(table, ("ships", "nothing (zero-shot)"), "told").below
    assert entry(table, ("ships", "nothing (zero-shot)"), "told").text == shown["told"][0], "one run has no spread"

    tagger = Tagger.load(folder, precision="fp32").with_labels(asked.values())
    found = tagger.tag_examples([example_of(["In", "May", "the", "Ingeborg", "left"], ["O"] * 5)])
    assert found, "the tagger is what users get"
    assert not cells_of(suite, data, tmp_path / "out")[0].why
    assert all(": cached" in line for line in list_suite(suite, data, tmp_path / "out") if "can't" not in line
               and "not told" not in line)  # fmt: skip


def test_what_is_asked_for() -> None:
    told = asked_labels((), [example_of(["x", "y"], ["B-RATINGS_AVERAGE", "B-PoliticalParty"])])
    assert {name: each.name for name, each in told.items()} == {
        "PoliticalParty": "political party", "RATINGS_AVERAGE": "ratings average"
    }  # fmt: skip
    with raises(InputError, words="no type to ask for"):
        asked_labels((), [])
    for same in (("a=x", "b=x"), ("a=a b", "b=A_b")):
        with raises(InputError, words="types 'a' and 'b' have the same label, "):
            asked_labels(same, [])
    with raises(InputError, words="a single type"):
        shuffled(asked_labels(("a",), []), 1)
    for seed in range(5):
        labels = asked_labels("abcde", [])
        other = shuffled(labels, seed)
        assert sorted(other) == sorted(labels)
        assert {each.name for each in other.values()} == set("abcde")
        assert not other.items() & labels.items()


def test_seen_and_unseen_names_are_scored_apart(learnt: Path) -> None:
    known = Learnt({str(learnt): "digest"})
    asked = {"A": "SHIP: a vessel", "B": "port", "C": "vessel", "D": "harbour_town"}
    names = known.seen_names(asked)
    assert names == {"A": True, "B": False, "C": False, "D": True}, "a synonym is another name"
    assert Learnt({"none": ""}).seen_names(asked) == Learnt().seen_names(asked) == {}

    rows = [example_of(["x", "y", "z"], ["B-A", "B-B", "B-C"]), example_of(["x", "y"], ["B-A", "B-other"])]
    others: FoundEntities = [[(0, 1, "A", 0.9), (2, 3, "B", 0.9)], [(1, 2, "D", 0.9)]]
    found = Predictions([[], []], {}, others={"at_own_threshold": others})
    part = CellSentences([], rows, {})
    own = score_part(part, found, seen_names=names)["at_own_threshold"]
    sums = ("right", "predicted", "gold")
    counts = {key: [own[key][each] for each in sums] for key in ("seen_names", "unseen_names")}
    assert counts == {"seen_names": [1, 2, 2], "unseen_names": [0, 1, 2]}
    assert (own["gold"], own["seen_names"]["f1"]) == (5, 0.5)
    assert "unseen_names" not in score_part(part, found, seen_names={"A": True})["at_own_threshold"]
    assert not score_part(part, found)["at_own_threshold"].keys() & counts.keys()


def test_a_corpus_says_what_was_learnt_by_the_names_of_its_classes(sample_corpus: Path, tmp_path: Path) -> None:
    found, names, texts = learnt_types([sample_corpus]), Counter[str](), dict[str, Counter[str]]()
    classes = read_manifest(sample_corpus)["classes"]
    for sentence in read_sentences(sample_corpus, TRAIN):
        for each in sentence.mentions:
            if each.class_path:
                name = classes.get(each.class_path[-1], {}).get("label") or class_words(each.class_path[-1])
                names[name] += 1
                text = "".join(sentence.text[each.start : each.end].split())
                texts.setdefault(text, Counter())[name] += 1
    assert (found.counts, found.texts) == (names, texts)
    assert len(names) > 3
    assert not learnt_types([sample_corpus], texts=False).texts
    own = shutil.copytree(sample_corpus, tmp_path / "corpus")
    before = learnt_digest(own)
    assert before == learnt_digest(sample_corpus), "its place doesn't matter"
    (own / "manifest.json").write_text((own / "manifest.json").read_text() + "\n")
    assert learnt_digest(own) not in ("", before)
    (own / "manifest.json").unlink()
    assert learnt_digest(own) == learnt_digest(tmp_path / "none") == ""


def test_what_was_seen_is_found_by_text_and_name(learnt: Path) -> None:
    found = learnt_types([learnt])
    assert found.counts == {"ship": 1, "harbour town": 2, "city": 1, "person": 2}
    labels = asked_labels(("ship=SHIP", "person", "city"), [])
    rows = [SHIPS, example_of(["Larsen", "&", "Holm"], ["O"] * 3)]
    assert seen_entities(found, labels, rows) == [
        [(0, 1, "ship", None), (2, 3, "city", None)],
        [(0, 3, "person", None)],
    ]


def jobs(suite: Suite, data: Path) -> list[Job | Cell]:
    return make_plan(suite, data, CPU)


def test_what_a_zero_shot_key_holds(
    folder: Path, data: Path, sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def keys(system: SystemSettings, label_encoder: str = "", **target: Any) -> tuple[str, str]:
        job, other = jobs(replace(suite_of({"A": system}, **target), label_encoder=label_encoder), data)
        assert isinstance(job, Job)
        assert isinstance(other, Job)
        assert (job.key == other.key) is not system.shuffled_labels
        return job.tag_key, job.key

    plain = SystemSettings(encoder=str(folder))
    before = keys(plain)
    (data / "ships" / "train.conll").unlink()
    assert keys(plain) == before, "nothing of the target is trained on"
    assert keys(plain, labels=("ship",))[0] != before[0]
    assert keys(replace(plain, shuffled_labels=True))[0] != before[0]
    tagged, scored = keys(plain, else_types=("person",))
    assert (tagged == before[0], scored == before[1]) == (True, False)
    (data / "ships" / "dev.conll").write_text("Oslo\tB-place\n")
    assert keys(plain)[0] != before[0]
    lacking = (str(tmp_path / "none.jsonl"),)
    keys(replace(plain, trained_on=lacking))
    assert capsys.readouterr().err.count("Familiarity and F1 by seen names are left out: trained_on: ") == 1
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    learnt = replace(plain, trained_on=(str(corpus),))
    with_names = partial(keys, label_encoder=str(folder))
    assert with_names(learnt) == with_names(plain), "nothing is known of it"
    shutil.copytree(sample_corpus, corpus, dirs_exist_ok=True)
    known = with_names(learnt)
    assert known[1] != with_names(plain)[1]
    tagged, scored = keys(learnt)
    before = keys(plain)
    assert (tagged == before[0], scored == before[1]) == (True, False), "without Familiarity only scored again"
    (corpus / "train-0.parquet").write_bytes(b"not read")
    assert with_names(learnt) == known
    (corpus / "manifest.json").write_text("{}")
    assert isinstance(jobs(suite_of({"A": learnt}), data)[0], Cell), "no corpus"
    missing = SystemSettings(seen_only=True, trained_on=lacking)
    told, mixed = "takes no labels at run time", replace(plain, shuffled_labels=True)
    cases: list[tuple[SystemSettings, dict[str, Any], str]] = [
        (missing, {}, "none.jsonl: no such file or corpus"),
        (SystemSettings(command=("cat", "{test}", "{output}")), {}, told),
        (replace(plain, source="far"), {}, told),
        (mixed, {"labels": ("ship",)}, "a single type can't be shuffled"),
        (mixed, {"sizes": (3,), "draw_by_seed": True}, "shuffled_labels is for size 0"),
        (replace(plain, settings={"max_steps": 2}), {}, "differs only by settings of fine-tuning"),
    ]
    for system, target, why in cases:
        (cell, _) = jobs(suite_of({"A": system}, **target), data)
        assert isinstance(cell, Cell)
        assert cell.state is State.NOT_RUN
        assert cell.why.endswith(why)


def test_nothing_is_drawn_outside_of_suites() -> None:
    with raises(SettingsError, words="zero-shot cells exist in suites only"):
        draw_subset([SHIPS], 0, 1)


def test_a_head_of_names_is_asked_for_all_types_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At 0.5 it finds what is 60 % sure, too."""
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: Tagger(NamesHead(), "unicode-words-1", "en"))
    rows = [example_of(["Ship", "ship", "port"], ["B-A", "O", "B-B"])]
    system = ZeroShotTagger(labels=("A=ship", "B=port"), encoder=Encoder("x", ""), precision="fp32", device="cpu")
    found = system.predict(CellSentences([], rows, {}, rows), Store(tmp_path), tmp_path)
    assert [each[:3] for each in found.entities[0]] == [(0, 1, "A"), (1, 2, "A"), (2, 3, "B")]
    assert (found.facts["dev_threshold"], found.facts["own_threshold"]) == (0.5, 0.5)
    assert found.others == {"best_on_dev": found.entities, "at_own_threshold": found.entities}


def test_a_folders_own_threshold_is_a_reading_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """60 % at a temperature of 3 is 53 %; the threshold is compared with confidences after it."""
    tagger = Tagger(NamesHead(), "unicode-words-1", "en", temperature=3.0)
    tagger.card = {"threshold": 0.6}
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: tagger)
    rows = [example_of(["Ship", "ship", "port"], ["B-A", "O", "O"])]
    system = ZeroShotTagger(labels=("A=ship", "B=port"), encoder=Encoder("x", ""), precision="fp32", device="cpu")
    part = CellSentences([], rows, {})
    found = system.predict(part, Store(tmp_path), tmp_path)
    assert found.facts["own_threshold"] == pytest.approx(uncalibrated(0.6, 3.0))
    assert len(found.entities[0]) == 3
    assert [each[:3] for each in found.others["at_own_threshold"][0]] == [(0, 1, "A")]
    scores = score_part(part, found)
    assert scores["type_accuracy"] == 1.0
    assert (scores["at_own_threshold"]["f1"], scores["at_own_threshold"]["span"]["f1"]) == (1.0, 1.0)
    assert scores["at_own_threshold"]["type_accuracy"] == 1.0
    assert "best_on_dev" not in scores


@pytest.mark.parametrize("least", [None, 0.4])
def test_a_tagger_of_fixed_types_is_scored_as_it_is(
    tiny_tagger: Path, tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch, least: float | None
) -> None:
    """A distilled student, say; what it finds of types that nobody asked for is wrong."""
    rows = read_examples(sample / "domain" / "test.conll")[:40]
    tagger = Tagger.load(tiny_tagger, backend="torch", precision="fp32", thresholds=least)
    if least:
        monkeypatch.setattr(Tagger, "load", lambda *_, **__: tagger)
    encoder, part = Encoder(str(tiny_tagger), ""), CellSentences([], rows, {}, rows)
    system = ZeroShotTagger(labels=("ship=SHIP",), encoder=encoder, precision="fp32", device="cpu")
    found = system.predict(part, Store(tmp_path), tmp_path)
    wanted = [[(span.start, span.end, span.type) for span in spans] for spans in tagger.tag_many(rows)]
    assert any(wanted)
    assert [
        [(row.words[start][0], row.words[end - 1][1], type_) for start, end, type_, _ in entities]
        for row, entities in zip(rows, found.entities, strict=True)
    ] == wanted
    assert not found.others
    one, other = tagger.types[:2]
    with raises(InputError, words=f"the tagger has a type '{one}' itself"):
        replace(system, labels=(f"{one}={other}",)).predict(part, Store(tmp_path), tmp_path)


def test_a_tagger_of_fixed_types_takes_no_other_names(tiny_tagger: Path, data: Path) -> None:
    plain = SystemSettings(encoder=str(tiny_tagger))
    assert all(isinstance(each, Job) for each in jobs(suite_of({"A": plain}), data))
    mixed = jobs(suite_of({"A": replace(plain, shuffled_labels=True)}), data)
    assert {each.why for each in mixed if isinstance(each, Cell)} == {
        "zero-shot: its encoder takes no labels at run time"
    }
