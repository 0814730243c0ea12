"""Zero-shot cells: what is asked for, by which threshold, what is scored, and what their keys hold."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.data.sampling import draw_subset
from nerbert.errors import InputError, SettingsError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.conll import example_of
from nerbert.metrics.calibration import Scaling
from nerbert.tagger.tagger import Tagger
from nerbert_bench.cells import Cell, CellSentences, State
from nerbert_bench.plan import Job, score_part
from nerbert_bench.render.benchmark import notes_of
from nerbert_bench.runner import list_suite
from nerbert_bench.suite import Published, Suite, SystemSettings, Target
from nerbert_bench.systems.finetuned import Encoder
from nerbert_bench.systems.zero_shot import ZeroShotTagger, asked_labels
from nerbert_bench.tables.table import make_table
from tests.bench.outcome import cells_of, made, planned
from tests.bench.tables.made_up import entry, grid_of
from tests.examples import read_examples
from tests.raised import raises
from tests.tagger.test_concept_backends import made as made_concepts
from tests.tagger.test_labels import NamesHead


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A concept encoder with random weights, which finds much; read only."""
    return made_concepts(tmp_path_factory.mktemp("zero") / "encoder")


def suite_of(systems: dict[str, SystemSettings], **target: Any) -> Suite:
    return Suite(
        name="s",
        systems=systems,
        targets=(Target(**{"data": "ships", "sizes": ("0",), **target}),),
        seeds=(1, 2),
        protocols={"p": FinetuneSettings(precision="fp32")},
    )


def test_a_suite_is_run_and_its_table_has_every_figure(
    folder: Path, tiny_encoder: Path, data: Path, tmp_path: Path
) -> None:
    systems = {"told": SystemSettings(encoder=str(folder)), "not told": SystemSettings(encoder=str(tiny_encoder))}
    paper = Published(name="P", of="a paper", f1={"ships": 60.0}, token_f1={"ships": 67.0}, size="0")
    suite = suite_of(systems, else_types=("person",), labels=("ship", "place=harbour town", "person"))
    suite = suite.model_copy(update={"published": (paper,)})
    cells = cells_of(suite, data, tmp_path / "out")
    done = {(each.place.system, each.place.seed): each for each in cells if each.state is State.DONE}
    assert {each.why for each in cells if each.state is not State.DONE} == {
        "zero-shot: its encoder takes no labels at run time"
    }
    assert sorted(done) == [("told", 1), ("told", 2)]
    assert len(made(tmp_path / "out")) == 1, "all seeds have the same result"

    told = done["told", 1]
    asked = {"ship": "ship", "place": "harbour town", "person": "person"}
    assert told.facts["asked"] == asked
    assert told.scores["seen"] is None, "nothing was trained on"
    assert told.scores["without_else"]["gold"] == told.scores["micro"]["gold"] - 1
    table = make_table(suite, cells)
    columns = [head.text for head in grid_of(table, "zero_shot").heads[2:]]
    shown = {
        name: [entry(table, ("ships", name), column, "zero_shot").text for column in columns]
        for name in ("told", "P (published)")
    }
    assert shown["P (published)"] == ["60.00", *["–"] * 5, "67.00", "–"]
    assert "–" not in shown["told"]
    assert [head.text for head in grid_of(table, "zero_shot_spans").heads[2:5]] == [
        "span F1 at 0.5",
        "span F1 at its own threshold",
        "span F1 at dev's threshold",
    ]
    assert entry(table, ("ships", "told"), "span F1 at its own threshold", "zero_shot_spans").text != "–"
    assert not any(
        "greedy" in text.lower() or "finetune" in text
        for text in (
            *notes_of(table),
            *(grid.title for grid in table.grids),
            *(head.text for head in grid_of(table, "figures").heads),
        )
    ), "nothing was trained"
    assert not entry(table, ("ships", "nothing (zero-shot)"), "told").below
    assert entry(table, ("ships", "nothing (zero-shot)"), "told").text == shown["told"][0], "one run has no spread"

    tagger = Tagger.load(folder, precision="fp32").with_labels(asked.values())
    found = tagger.tag_examples([example_of(["In", "May", "the", "Ingeborg", "left"], ["O"] * 5)])
    assert found, "the tagger is what users get"
    assert not cells_of(suite, data, tmp_path / "out")[0].why
    assert all(
        ": cached" in line
        for line in list_suite(suite, data, tmp_path / "out")
        if "can't" not in line and "not told" not in line
    )


def test_what_is_asked_for() -> None:
    told = asked_labels((), [example_of(["x", "y"], ["B-RATINGS_AVERAGE", "B-PoliticalParty"])])
    assert {name: each.name for name, each in told.items()} == {
        "PoliticalParty": "political party",
        "RATINGS_AVERAGE": "ratings average",
    }
    with raises(InputError, words="no type to ask for"):
        asked_labels((), [])
    for same in (("a=x", "b=x"), ("a=a b", "b=A_b")):
        with raises(InputError, words="types 'a' and 'b' have the same label, "):
            asked_labels(same, [])


def test_what_a_zero_shot_key_holds(folder: Path, data: Path) -> None:
    def keys(system: SystemSettings, **target: Any) -> tuple[str, str]:
        job, other = planned(suite_of({"A": system}, **target), data)
        assert isinstance(job, Job)
        assert isinstance(other, Job)
        assert job.key == other.key
        return job.key, job.score_key

    plain = SystemSettings(encoder=str(folder))
    before = keys(plain)
    (data / "ships" / "train.conll").unlink()
    assert keys(plain) == before, "nothing of the target is trained on"
    assert keys(plain, labels=("ship",))[0] != before[0]
    tagged, scored = keys(plain, else_types=("person",))
    assert (tagged == before[0], scored == before[1]) == (True, False)
    (data / "ships" / "dev.conll").write_text("Oslo\tB-place\n")
    assert keys(plain)[0] != before[0]
    told = "takes no labels at run time"
    for system, why in (
        (SystemSettings(command=("cat", "{test}", "{output}")), told),
        (plain.model_copy(update={"source": "far"}), told),
        (plain.model_copy(update={"settings": {"max_steps": 2}}), "differs only by settings of fine-tuning"),
    ):
        (cell, _) = planned(suite_of({"A": system}), data)
        assert isinstance(cell, Cell)
        assert cell.state is State.NOT_RUN
        assert cell.why.endswith(why)


def test_nothing_is_drawn_outside_of_suites() -> None:
    with raises(SettingsError, words="zero-shot cells exist in suites only"):
        draw_subset([example_of(["Oslo"], ["B-place"])], 0, 1)


def test_a_head_of_names_is_asked_for_all_types_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At 0.5 it finds what is 60 % sure, too."""
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: Tagger(NamesHead(), "unicode-words-1", "en"))
    rows = [example_of(["Ship", "ship", "port"], ["B-A", "O", "B-B"])]
    system = ZeroShotTagger(labels=("A=ship", "B=port"), encoder=Encoder("x", "x", ""), precision="fp32", device="cpu")
    found = system.predict(CellSentences([], rows, {}, rows), tmp_path)
    assert [each[:3] for each in found.entities[0]] == [(0, 1, "A"), (1, 2, "A"), (2, 3, "B")]
    assert (found.facts["dev_threshold"], found.facts["own_threshold"]) == (0.5, 0.5)
    assert found.others == {"best_on_dev": found.entities, "at_own_threshold": found.entities}


def test_a_folders_own_threshold_is_a_reading_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """60 % at a temperature of 3 is 53 %; the threshold is compared with confidences after it."""
    tagger = Tagger(NamesHead(), "unicode-words-1", "en", scaling=Scaling(3.0))
    tagger.card = {"threshold": 0.6}
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: tagger)
    rows = [example_of(["Ship", "ship", "port"], ["B-A", "O", "O"])]
    system = ZeroShotTagger(labels=("A=ship", "B=port"), encoder=Encoder("x", "x", ""), precision="fp32", device="cpu")
    part = CellSentences([], rows, {})
    found = system.predict(part, tmp_path)
    assert found.facts["own_threshold"] == pytest.approx(Scaling(3.0).undo(0.6))
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
    """A distilled student, say; what it finds of types that nobody asked for is wrong. Signs alone are scored, too."""
    monkeypatch.setattr(Tagger, "finds_signs", True)
    rows = read_examples(sample / "domain" / "test.conll")[:40]
    tagger = Tagger.load(tiny_tagger, backend="torch", precision="fp32", thresholds=least)
    if least:
        monkeypatch.setattr(Tagger, "load", lambda *_, **__: tagger)
    encoder, part = Encoder(str(tiny_tagger), str(tiny_tagger), ""), CellSentences([], rows, {}, rows)
    system = ZeroShotTagger(labels=("ship=SHIP",), encoder=encoder, precision="fp32", device="cpu")
    found = system.predict(part, tmp_path)
    wanted = [[(span.start, span.end, span.type) for span in spans] for spans in tagger.tag_many(rows)]
    assert any(wanted)
    assert [
        [(row.words[start][0], row.words[end - 1][1], type_) for start, end, type_, _ in entities]
        for row, entities in zip(rows, found.entities, strict=True)
    ] == wanted
    assert not found.others
    one, other = tagger.types[:2]
    with raises(InputError, words=f"the tagger has a type '{one}' itself"):
        replace(system, labels=(f"{one}={other}",)).predict(part, tmp_path)
