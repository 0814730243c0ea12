"""Types renamed, merged and dropped: the answers are the tagger's own, by other names."""

import json
from pathlib import Path

import numpy as np
import pytest

import nerbert
from nerbert.data.splits import DataSet, read_data
from nerbert.entity_labels import as_learnt
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.finetuning.add_types import prepare
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import Start
from nerbert.metrics.calibration import UNSCALED
from nerbert.model.folder import CARD, REPORT, read_card
from nerbert.model.heads import probabilities
from nerbert.model.linear import LinearHead, merged_tags
from nerbert.model.windows import Padded
from nerbert.records import Example, Span
from nerbert.render.cards import write_tagger_card
from nerbert.rng import Array
from nerbert.tagger.export import export
from nerbert.tagger.retype import TypeChanges, change_types
from nerbert.tagger.self_check import check
from nerbert.tagger.tagger import Tagger
from tests.commands import exit_code
from tests.fixtures import Once
from tests.raised import raises
from tests.stages import finetune
from tests.tagger.batches import check_same

Caught = pytest.CaptureFixture[str]
TEXTS = ("Anna Berg was born in Oslo, and Kiruna is far away.", "Lena Holm of the Harbour Works left Bergen.", "No.")


@pytest.fixture(scope="module")
def tiny_names_tagger(sample: Path, once: Once) -> Path:
    """A tagger of labels at run time, fine-tuned for a few steps; read only."""
    settings = FinetuneSettings(max_steps=2, select="last")
    return once("names-tagger", lambda folder: finetune("embedded-open", sample / "domain", folder, settings))


def spans(tagger: Tagger, names: dict[str, str] | None = None) -> list[list[tuple[int, int, str, float]]]:
    """Return the entities of each text, their types by other names."""
    names = names or {}
    return [
        [(each.start, each.end, names.get(each.type, each.type), each.confidence) for each in found]
        for found in tagger.tag_many(TEXTS)
    ]


def changed(folder: Path, output: Path, names: dict[str, str], *merged: str) -> Tagger:
    change_types(folder, output, TypeChanges(names, merged), card=write_tagger_card)
    return Tagger.load(output, precision="fp32")


def test_renamed_types_have_the_same_answers_and_figures(tiny_tagger: Path, tmp_path: Path) -> None:
    before = Tagger.load(tiny_tagger, precision="fp32", thresholds=0)
    first, *rest = before.types
    after = changed(tiny_tagger, tmp_path / "new", {first: "thing"})
    after.thresholds = {}
    assert after.types == sorted(["thing", *rest])
    assert any(spans(before))
    assert spans(after) == spans(before, {first: "thing"})
    old, new = read_card(tiny_tagger), read_card(tmp_path / "new")
    assert new["dev"]["by_type"]["thing"] == old["dev"]["by_type"][first]
    assert "thing" in (tmp_path / "new" / "README.md").read_text()
    assert first not in (tmp_path / "new" / "check.json").read_text()
    assert not check(tmp_path / "new")[0].differences


def test_a_merged_type_has_the_sum_of_probabilities() -> None:
    logits = np.array([[0.0, 2.0, 1.5, -1.0], [1.0, -2.0, 3.0, 0.5]], np.float32)

    def scorer(batch: Padded) -> Array:
        return logits

    merged, names = merged_tags(scorer, ["O", "B-x", "B-y", "B-x"])
    assert names == ["O", "B-x", "B-y"]
    found = merged(None)  # type: ignore[arg-type]
    for name, columns in (("O", [0]), ("B-x", [1, 3]), ("B-y", [2])):
        chosen = np.full(2, names.index(name))
        expected = sum(probabilities(logits, np.full(2, each), UNSCALED) for each in columns)
        np.testing.assert_allclose(probabilities(found, chosen, UNSCALED), expected, rtol=1e-6)
    assert merged_tags(scorer, ["O", "B-x"])[0] is scorer


@pytest.mark.extras
def test_merged_and_dropped_types_are_those_of_the_export_too(folder: Path, tmp_path: Path) -> None:
    export(folder)
    (folder / REPORT).write_text("a page of the old types")
    one, other, gone, *_ = Tagger.load(folder).types
    change_types(folder, tmp_path / "new", TypeChanges({one: "both", other: "both", gone: ""}, {"both"}))
    torch = Tagger.load(tmp_path / "new", backend="torch", precision="fp32", thresholds=0)
    onnx = Tagger.load(tmp_path / "new", backend="onnx", precision="fp32", thresholds=0)
    again = export(tmp_path / "new", output=tmp_path / "again")
    assert isinstance(torch.head, LinearHead)
    assert len(set(torch.head.tags)) == len(torch.head.tags)
    assert torch.types == onnx.types == Tagger.load(again.folder).types
    assert {one, other, gone}.isdisjoint(torch.types)
    for found, expected in zip(onnx.tag_many(TEXTS), torch.tag_many(TEXTS), strict=True):
        check_same(found, expected, 1e-3)
    assert "dev" not in read_card(tmp_path / "new"), "scores of other types"
    assert json.loads((tmp_path / "new" / "onnx" / "nerbert-onnx.json").read_text())["agreement"] == {}
    assert not (tmp_path / "new" / REPORT).exists()


def test_a_tagger_of_run_time_labels_asks_for_all_parts(tmp_path: Path, tiny_names_tagger: Path) -> None:
    before = read_card(tiny_names_tagger)
    one, other, *rest = before["types"]
    after = changed(tiny_names_tagger, tmp_path / "new", {one: "both", other: "both"}, "both")
    asked = as_learnt(["both"], after.card)
    assert [each.name for each in asked] == ["both", "both"]
    assert [each.reads for each in asked] == [before["words_of_types"][each] for each in (one, other)]
    parts = Tagger.load(tiny_names_tagger, precision="fp32").with_default_labels()
    assert any(spans(parts))
    assert spans(after.with_default_labels()) == spans(parts, {one: "both", other: "both"})
    assert after.with_default_labels().types == sorted(["both", *rest])


def test_thresholds_and_temperature_come_along(folder: Path, tmp_path: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    one, other, third, *_ = card["types"]
    calibration = {"temperature": 1.5, "bias": 0.5, "by_type": {third: {"right": 3}}, "ece_before": 0.2}
    bounds = {"thresholds": {one: 0.2, other: 0.6, third: 0.3}, "calibration": calibration}
    (folder / CARD).write_text(json.dumps(card | bounds))
    tagger = changed(folder, tmp_path / "new", {one: "both", other: "both", third: "last"}, "both")
    assert {name: each for name, each in tagger.thresholds.items() if each} == {"both": 0.6, "last": 0.3}
    assert tagger.card["calibration"] == {"temperature": 1.5, "bias": 0.5}
    renamed = changed(folder, tmp_path / "renamed", {third: "last"})
    assert renamed.card["calibration"] == calibration | {"by_type": {"last": {"right": 3}}}


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({}, SettingsError, "no change is given"),
        ({"drop": ["nothing"]}, SettingsError, "has no type 'nothing'"),
        ({"rename": ["a=b"]}, SettingsError, "would all be 'b'"),
        ({"rename": ["a=x"], "drop": ["a"]}, SettingsError, "is changed twice"),
        ({"rename": ["a="]}, SettingsError, "write the old name"),
        ({"merge": ["a=x"]}, SettingsError, "name at least two types"),
        ({"rename": ["a=x", "a=y"]}, SettingsError, "is changed twice"),
        ({"drop": ["a,b", "c"]}, SettingsError, "all types would be dropped"),
        ({"rename": ["a=\x07"]}, InputError, "printable"),
    ],
)
def test_messages(changes: dict[str, list[str]], kind: type[NerbertError], message: str) -> None:
    with raises(kind, message):
        TypeChanges.parse(**{"rename": [], "merge": [], "drop": [], **changes}).of(["a", "b", "c"])


def test_a_new_name_is_written_as_labels_are_and_a_swap_of_two_is_no_clash() -> None:
    assert TypeChanges.parse(["a=public  person"], [], []).names == {"a": "public person"}
    assert TypeChanges.parse(["a=b", "b=a"], [], []).of(["a", "b", "c"]) == {"a": "b", "b": "a", "c": "c"}


def test_training_starts_anew_from_merged_types_and_keeps_the_others(
    tiny_tagger: Path, tmp_path: Path, capsys: Caught
) -> None:
    one, other, kept, *_ = read_card(tiny_tagger)["types"]
    nerbert.rename_types(tiny_tagger, tmp_path / "new", {one: " both ", other: "both"})
    settings = FinetuneSettings(source_head="shared")
    start = Start.of(str(tmp_path / "new"), Domains(DataSet(Path("data"), []), types=["both", kept]), settings)
    assert start.facts["shared_types"] == [kept]
    assert "its merged types (both) start anew" in capsys.readouterr().err


def test_a_tagger_of_others_keeps_its_head_too(folder: Path) -> None:
    types = read_card(folder)["types"]
    (folder / CARD).unlink()
    settings = FinetuneSettings(source_head="shared")
    start = Start.of(str(folder), Domains(DataSet(Path("data"), []), types=types), settings)
    assert start.facts["shared_types"] == types
    new = [Example("Anna left", ((0, 4), (5, 9)), (Span(0, 4, "guest", "Anna"),))]
    prepared = prepare(str(folder), Domains(read_data(new)), FinetuneSettings())
    assert prepared.facts["added_types"]["own"] == types


def test_the_command_says_what_is_called_how(
    tiny_tagger: Path, tiny_gliner: Path, tmp_path: Path, capsys: Caught
) -> None:
    first, second, *_ = read_card(tiny_tagger)["types"]
    words = ["types", str(tiny_tagger), "-o", str(tmp_path / "new"), "--rename", f"{first}=thing", "--drop", second]
    assert exit_code(*words) == 0
    said = capsys.readouterr().out
    assert f"{first} → thing" in said
    assert f"{second} → no entity" in said
    assert exit_code(*words) == 1, "the folder exists"
    assert exit_code("types", tiny_gliner, "-o", tmp_path / "none", "--drop", "x") == 1
    assert "no types of its own" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
