import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

import nerbert.finetuning.finetune as stage
from nerbert import evaluate
from nerbert.cli import main
from nerbert.config import Section
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError
from nerbert.finetuning import start, train_tagger
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.data import DataSet, read_data
from nerbert.formats.documents import Reading, reading_for
from nerbert.model.backbone import save_model, tags_of
from nerbert.model.folder import TaggerFacts, read_card, write_card
from nerbert.model.fresh import train_tokenizer
from nerbert.records import Document, Example, Repairs, Span
from nerbert.registry import FORMATS, OBJECTIVES
from nerbert.tagger.tagger import Tagger
from nerbert.terminal import percent
from nerbert.training.loop import train
from nerbert.training.tagging import TokenClassification
from nerbert.words import icu_splitter
from tests.commands import exit_code
from tests.encoder.backbones import load_tagging_model, tiny_mlm
from tests.stages import finetune

FAST = FinetuneSettings(epochs=1, min_steps=0, precision="fp32", threads=1, max_length=64, source_epochs=1)
DEV = FinetuneSettings(
    epochs=4, min_steps=0, precision="fp32", threads=1, learning_rate=3e-3, batch_size=8, select="dev"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A few sentences of ships, with a dev part."""
    folder = tmp_path / "secret-place" / "ships"
    folder.mkdir(parents=True)
    rows = "The\tO\nMargarethe\tB-ship\nsailed\tO\n\nLarsen\tB-person\n&\tI-person\nHolm\tI-person\n\n"
    (folder / "train.conll").write_text(rows * 6)
    (folder / "dev.conll").write_text(rows)
    return folder


@pytest.fixture
def card() -> Callable[[Path], dict[str, Any]]:
    """Read a folder's card."""
    return lambda folder: dict(json.loads((folder / "nerbert.json").read_text()))


def test_without_seeds_the_output_is_the_tagger(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any]
) -> None:
    output = tmp_path / "tagger"
    assert finetune(str(tiny_encoder), data, output, FAST) == [output]
    facts = card(output)
    assert facts["kind"] == "tagger"
    assert facts["types"] == ["person", "ship"]
    assert facts["data"]["name"] == "ships"
    assert set(facts["data"]["sha256"]) == {"train.conll", "dev.conll"}
    assert facts["max_length"] == 64
    assert facts["encoder"]["kind"] == "untrained"
    assert facts["best_step"] is None
    assert "dev_f1" not in facts["log"][-1]
    assert 0 <= facts["dev"]["f1"] <= 1
    assert tags_of(load_tagging_model(str(output)), "") == ["O", "B-person", "I-person", "B-ship", "I-ship"]
    for file in output.glob("*.json"):
        assert "secret-place" not in file.read_text()
        assert str(tiny_encoder) not in file.read_text()


def test_a_dev_set_gives_the_confidences_their_temperature(
    tiny_encoder: Path, data: Path, sample: Path, tmp_path: Path, card: Callable[[Path], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from nerbert.formats.conll import Conll
    from nerbert.render.cards import tagger_card
    from nerbert.tagger.calibrate import calibrate
    from nerbert.tagger.tagger import Tagger

    domain, output, read = tmp_path / "domain", tmp_path / "tagger", list[str]()
    shutil.copytree(sample / "domain", domain)

    class Watched(Conll):
        def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
            read.append(path.name)
            return super().read(path, repairs)

    monkeypatch.setitem(FORMATS._known, "conll", Watched)
    finetune(str(tiny_encoder), domain, output, replace(DEV, epochs=8, select="last"))
    assert sorted(read) == ["dev.conll", "train.conll"], "each once; the test split is nobody's business"
    facts = card(output)
    assert facts["dev"]["sentences"] == facts["calibration"]["sentences"] == 50
    assert 0 < facts["dev"]["f1"] < 1
    assert set(facts["dev"]["by_type"]) == set(facts["types"])
    told = facts["calibration"]
    assert told["data"] == {"name": "dev.conll", "sha256": facts["data"]["sha256"]["dev.conll"]}
    assert Tagger.load(output, device="cpu").temperature == told["temperature"] != 1
    assert (output / "README.md").read_text() == tagger_card(facts)
    (again,) = calibrate(output, domain)
    assert again.calibration["temperature"] == pytest.approx(told["temperature"], rel=0.05), "bf16 and fp32"
    assert set(again.calibration) == set(told)


def test_without_a_dev_set_nothing_is_calibrated(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any]
) -> None:
    (data / "dev.conll").unlink()
    finetune(str(tiny_encoder), data, tmp_path / "tagger", FAST)
    assert not {"dev", "calibration"} & set(card(tmp_path / "tagger"))
    text = (tmp_path / "tagger" / "README.md").read_text()
    assert "Not calibrated: no held-out sentences were given" in text
    assert "secret-place" not in text


def test_the_stage_writes_no_card_and_its_hook_sees_the_unfinished_folder(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any]
) -> None:
    output, seen = tmp_path / "taggers", dict[str, Any]()

    def hook(folder: Path, facts: TaggerFacts) -> bool:
        assert not output.exists()
        assert (folder / "model.safetensors").is_file()
        assert facts.before is None
        seen[folder.name] = facts.card
        return True

    stage.finetune(str(tiny_encoder), data, output, FAST, seeds=(1, 2), card=hook)
    assert seen == {name: card(output / name) for name in ("seed-1", "seed-2")}
    assert not list(output.rglob("README.md"))


def test_calibration_can_be_left_out(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any]
) -> None:
    finetune(str(tiny_encoder), data, tmp_path / "tagger", FAST, calibrate=False)
    assert "calibration" not in card(tmp_path / "tagger")


def test_the_checkpoint_that_is_kept_is_the_one_that_is_calibrated(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nerbert.model.heads import predict_entities

    heads = list[Any]()

    def spy(head: Any, *rest: Any) -> Any:
        heads.append(head.scorer._model.classifier.weight)
        return predict_entities(head, *rest)

    monkeypatch.setattr("nerbert.finetuning.train_tagger.predict_entities", spy)
    finetune(str(tiny_encoder), data, tmp_path / "tagger", DEV)
    facts = card(tmp_path / "tagger")
    assert facts["best_step"] < facts["log"][-1]["step"]
    assert len(heads) == 1
    assert heads[0].equal(load_tagging_model(str(tmp_path / "tagger")).classifier.weight)
    assert "chose the checkpoint" in (tmp_path / "tagger" / "README.md").read_text()


def test_a_hubs_name_is_told_a_folders_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "read_card", lambda _: {})
    assert stage._origin("some/encoder", None)["encoder"]["name"] == "some/encoder"
    assert stage._origin("embedded", None)["encoder"]["name"] == "embedded"
    assert stage._origin(str(tmp_path), None)["encoder"]["name"] is None


def test_several_seeds_have_a_folder_each(tiny_encoder: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "taggers"
    folders = finetune(str(tiny_encoder), data, output, FAST, seeds=(3, 1))
    assert folders == [output / "seed-3", output / "seed-1"]
    heads = [load_tagging_model(str(folder)).classifier.weight for folder in folders]
    assert not heads[0].equal(heads[1])
    again = finetune(str(tiny_encoder), data, tmp_path / "one", FinetuneSettings(**as_dict(FAST) | {"seed": 3}))
    assert load_tagging_model(str(again[0])).classifier.weight.equal(heads[0])
    with pytest.raises(SettingsError, match="one is given twice"):
        finetune(str(tiny_encoder), data, tmp_path / "x", FAST, seeds=(1, 1))


@pytest.mark.parametrize("seeds", [(3,), (3, 1)])
def test_named_seeds_have_one_layout(tiny_encoder: Path, data: Path, tmp_path: Path, seeds: tuple[int, ...]) -> None:
    """One is no other case than two, for whatever reads the folder."""
    output = tmp_path / "taggers"
    assert finetune(str(tiny_encoder), data, output, FAST, seeds=seeds) == [output / f"seed-{seed}" for seed in seeds]
    names = {path.name for path in output.iterdir() if not path.name.startswith(".")}
    assert names == {"manifest.json", *(f"seed-{seed}" for seed in seeds)}
    assert json.loads((output / "manifest.json").read_text())["seeds"] == list(seeds)
    scored = evaluate(output, data / "dev.conll")
    assert [Path(name).name for name in scored.scores] == [f"seed-{seed}" for seed in sorted(seeds)]
    assert finetune(str(tiny_encoder), data, output, FAST, seeds=seeds, overwrite=True)


def test_most_steps_need_no_other_setting(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any]
) -> None:
    """Though the default of min_steps is higher."""
    (folder,) = finetune(str(tiny_encoder), data, tmp_path / "x", FinetuneSettings(max_steps=2, threads=1))
    assert card(folder)["log"][-1]["step"] == 2


def test_command_says_where_the_taggers_are_and_how_good(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "taggers"
    fast = ["--set", "max_steps=2", "--set", "threads=1"]
    with pytest.raises(SystemExit) as ended:
        main(["finetune", str(tiny_encoder), "--data", str(data), "-o", str(output), "--seeds", "1,2", *fast])
    assert not ended.value.code
    dev = [card(output / f"seed-{seed}")["dev"] for seed in (1, 2)]
    assert capsys.readouterr().out.splitlines() == [
        f"tagger: {output}/seed-{seed}; F1 {percent(each['f1'])} on {each['sentences']} dev sentences"
        for seed, each in zip((1, 2), dev, strict=True)
    ]
    with pytest.raises(SystemExit):
        main(["finetune", str(tiny_encoder), "--data", str(data / "train.conll"), "-o", str(tmp_path / "one"), *fast])
    assert capsys.readouterr().out == f"tagger: {tmp_path}/one; no dev split to score it on\n"


def as_dict(settings: FinetuneSettings) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(settings)


def test_source_comes_before_target(
    tiny_encoder: Path, data: Path, sample: Path, tmp_path: Path, card: Callable[[Path], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    real, seen = train_tagger.finetune_examples, list[tuple[str, str]]()

    def spy(*given: Any, name: str, **named: Any) -> Any:
        seen.append((Path(name).name, given[3].select))
        return real(*given, name=name, **named)

    source = tmp_path / "source.conll"
    source.write_text("Oslo\tB-place\nharbour\tO\n\n" * 5)
    monkeypatch.setattr(stage, "finetune_examples", spy)
    output = tmp_path / "tagger"
    finetune(str(tiny_encoder), data, output, DEV, source=source, seeds=(1, 2))
    assert seen == [("source.conll", "last"), ("ships", "dev")] * 2
    facts = card(output / "seed-1")
    assert facts["types"] == ["person", "ship"]
    assert facts["source_data"]["name"] == "source.conll"
    assert facts["encoder"]["kind"] == "untrained"


Heads = list[tuple[int, dict[str, torch.Tensor]]]


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Heads:
    """Note what each training starts from: its seed, and the weights of its model."""
    noted: Heads = []

    def spy(model: Any, data: Any, objective: Any, settings: FinetuneSettings, *rest: Any, **named: Any) -> Any:
        noted.append((settings.seed, {name: each.clone() for name, each in model.state_dict().items()}))
        return train(model, data, objective, settings, *rest, **named)

    monkeypatch.setattr(train_tagger, "train", spy)
    return noted


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source domain, one of whose types has the name that the target's has on CoNLL-2003."""
    path = tmp_path / "source.conll"
    path.write_text("Oslo\tB-LOC\nharbour\tO\nof\tO\nKari\tB-PER\nNordmann\tI-PER\n\n" * 5)
    return path


def test_each_seed_has_a_source_of_its_own(
    tiny_encoder: Path, data: Path, source: Path, tmp_path: Path, starts: Heads
) -> None:
    body = "bert.encoder.layer.0.output.dense.weight"
    both = finetune(str(tiny_encoder), data, tmp_path / "both", FAST, source=source, seeds=(4, 2))
    (first, encoder), (second, from_4), (third, again), (fourth, from_2) = starts
    assert [first, second, third, fourth] == [4, 4, 2, 2]
    assert encoder[body].equal(again[body]), "each source starts from the encoder"
    assert not encoder["classifier.weight"].equal(again["classifier.weight"])
    assert not from_4[body].equal(from_2[body])
    (alone,) = finetune(str(tiny_encoder), data, tmp_path / "alone", replace(FAST, seed=2), source=source)
    assert starts[-1][1][body].equal(from_2[body])
    one, other = (load_tagging_model(str(folder)).state_dict() for folder in (alone, both[1]))
    assert all(one[name].equal(other[name]) for name in one)


def test_a_shared_head_keeps_the_rows_of_shared_types(
    tiny_encoder: Path, data: Path, source: Path, tmp_path: Path, starts: Heads, card: Callable[[Path], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    sources, real = list[dict[str, torch.Tensor]](), train_tagger.finetune_examples

    def spy(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        sources.append({name: each.clone() for name, each in found.model.state_dict().items()})
        return found

    monkeypatch.setattr(stage, "finetune_examples", spy)
    new, shared = replace(FAST, seed=3), replace(FAST, seed=3, source_head="shared")
    for name, settings in (("new", new), ("shared", shared)):
        finetune(str(tiny_encoder), data, tmp_path / name, settings, source=source)
    learnt, (fresh, kept) = sources[2], (starts[1][1], starts[3][1])
    assert all(sources[0][name].equal(each) for name, each in learnt.items()), "one source for both forms"
    # the source's rows: O, B-LOC, I-LOC, B-PER, I-PER; the target's: O, B-person, I-person, B-ship, I-ship
    for name in ("classifier.weight", "classifier.bias"):
        wanted = [learnt[name][0], learnt[name][3], learnt[name][4], fresh[name][3], fresh[name][4]]
        assert kept[name].equal(torch.stack(wanted))
    assert not kept["classifier.weight"][:3].equal(fresh["classifier.weight"][:3])
    rest = fresh.keys() - {"classifier.weight", "classifier.bias"}
    assert all(kept[name].equal(fresh[name]) for name in rest)
    assert card(tmp_path / "shared")["shared_types"] == ["person"]
    assert "shared_types" not in card(tmp_path / "new")


def test_a_shared_head_is_a_new_one_after_what_is_no_tagger(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any]
) -> None:
    heads = []
    for how in ("new", "shared"):
        (folder,) = finetune(str(tiny_encoder), data, tmp_path / how, replace(FAST, source_head=how))
        heads.append(load_tagging_model(str(folder)).classifier.weight)
        assert "shared_types" not in card(folder)
    assert heads[0].equal(heads[1])


def test_a_head_starts_only_from_what_its_kind_can(
    tiny_encoder: Path, data: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"own": type("Own", (TokenClassification,), {"head_name": "gliner"})}
    monkeypatch.setattr(OBJECTIVES, "_known", known)
    monkeypatch.delattr(TokenClassification, "make_model")
    settings = replace(FAST, objective="own", source_head="shared")
    with pytest.raises(SettingsError, match="not for the head of objective 'own'; use 'new'") as caught:
        finetune(str(tiny_encoder), data, tmp_path / "tagger", settings, source=source)
    assert caught.value.setting == "source_head"


@pytest.fixture
def half_frozen(tmp_path: Path) -> str:
    """An encoder of three layers; its card says that two of them were frozen."""
    tokenizer = train_tokenizer(["The Margarethe sailed", "Larsen & Holm"] * 3, 120)
    model = tiny_mlm("bert", len(tokenizer), num_hidden_layers=3)
    save_model(tmp_path / "encoder", model, tokenizer)
    write_card(tmp_path / "encoder", "encoder", word_splitter="unicode-words-1", num_frozen_layers=2)
    return str(tmp_path / "encoder")


def test_a_tagger_that_reads_two_layers_goes_the_whole_way(
    half_frozen: str, data: Path, source: Path, tmp_path: Path, card: Callable[[Path], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from transformers import pipeline

    output, text = tmp_path / "tagger", tmp_path / "text.txt"
    text.write_text("The Margarethe sailed. Larsen & Holm")
    settings = {"tagging.joined_layer": -1, "epochs": 60, "min_steps": 0, "learning_rate": 3e-3, "precision": "fp32",
                "threads": 1, "source_epochs": 1, "source_head": "shared", "select": "dev"}  # fmt: skip
    given = [each for name, value in settings.items() for each in ("--set", f"{name}={value}")]
    assert exit_code("finetune", half_frozen, "--data", data, "--source", source, "-o", output, *given) == 0
    facts = card(output)
    assert (facts["joined_layer"], facts["num_frozen_layers"], facts["dev"]["f1"]) == (2, 2, 1.0)
    assert facts["shared_types"] == ["person"]
    assert "calibration" in facts
    assert "Only nerbert loads it" in (output / "README.md").read_text()
    capsys.readouterr()
    assert exit_code("tag", output, text, "--json") == 0
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(each["text"], each["type"]) for row in rows for each in row["spans"]] == [
        ("Margarethe", "ship"), ("Larsen & Holm", "person"),
    ]  # fmt: skip
    with pytest.raises((RuntimeError, ValueError), match="mismatch"):
        pipeline("token-classification", model=str(output), device="cpu")

    (again,) = finetune(str(output), data, tmp_path / "plain", FAST)
    facts = card(again)
    assert "joined_layer" not in facts
    assert facts["num_frozen_layers"] == 2
    for layer in (0, 1):
        with pytest.raises(
            SettingsError, match=r"source_head = 'shared': .* reads other layers \(joined_layer\)"
        ) as no:
            finetune(
                str(output),
                data,
                tmp_path / "x",
                FAST.changed({"source_head": "shared", "tagging": {"joined_layer": layer}}),
            )
        assert no.value.setting == "source_head"


def test_an_objective_that_joins_no_layers_says_so(
    half_frozen: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(TokenClassification):
        settings = Section

        @classmethod
        def of(cls, task: Any) -> "Own":
            return cls(task.types)

    monkeypatch.setattr(OBJECTIVES, "_known", {"own": Own, "tagging": TokenClassification})
    settings = FAST.changed({"objective": "own", "tagging": {"joined_layer": 1}})
    with pytest.raises(
        SettingsError, match="joined_layer: is for objective 'tagging', but objective = 'own'"
    ) as caught:
        finetune(half_frozen, data, tmp_path / "tagger", settings)
    assert caught.value.setting == "tagging.joined_layer"


def test_patience_ends_a_training_and_says_so(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(DEV, epochs=30, patience=2, schedule="constant")
    finetune(str(tiny_encoder), data, tmp_path / "tagger", settings, seeds=(5,))
    facts = card(tmp_path / "tagger" / "seed-5")
    scores, steps = ([entry[name] for entry in facts["log"]] for name in ("dev_f1", "step"))
    assert len(scores) < 30
    assert scores.index(max(scores)) == len(scores) - 3
    assert facts["best_step"] == steps[-3]
    said = f"fine-tuning, seed 5: ended after step {steps[-1]} of 60, out of patience; step {steps[-3]} is kept"
    assert said in capsys.readouterr().err
    assert evaluate(tmp_path / "tagger", data / "dev.conll").f1_mean == pytest.approx(max(scores))


def test_patience_needs_scores_on_dev() -> None:
    with pytest.raises(SettingsError, match=r"setting patience = 8: must be 0 with select = 'last'"):
        FinetuneSettings(patience=8)


def test_fewer_layers_are_kept_on_the_whole_road(
    sample_corpus: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any]
) -> None:
    from nerbert.encoder.settings import PretrainSettings
    from nerbert.tagger.tagger import Tagger
    from tests.encoder.backbones import write_fresh

    shape = PretrainSettings(fresh_num_layers=3, fresh_hidden_size=64, fresh_vocab_size=500)
    write_fresh(replace(shape, corpus=(sample_corpus,)), tmp_path / "deep")
    source = tmp_path / "source.conll"
    source.write_text("Oslo\tB-place\nharbour\tO\n\n" * 5)
    settings = replace(FAST, num_layers=2)
    for name, first in (("alone", None), ("after a source", source)):
        finetune(str(tmp_path / "deep"), data, tmp_path / name, settings, source=first)
        model = load_tagging_model(str(tmp_path / name))
        assert len(model.bert.encoder.layer) == model.config.num_hidden_layers == 2
        assert card(tmp_path / name)["settings"]["num_layers"] == 2
        assert Tagger.load(tmp_path / name, device="cpu").types == ["person", "ship"]
    with pytest.raises(SettingsError, match="num_layers = 4: the backbone has 3 layers"):
        finetune(str(tmp_path / "deep"), data, tmp_path / "x", replace(FAST, num_layers=4))
    assert not (tmp_path / "x").exists()


def test_bounds_on_steps_are_the_targets_alone() -> None:
    settings = FinetuneSettings(
        min_steps=9, max_steps=9, source_epochs=2, select="dev", patience=8, weight_decay=0.5, schedule="constant"
    )
    own = train_tagger.source_settings(settings, 7)
    assert (own.epochs, own.min_steps, own.max_steps, own.select, own.seed) == (2, 0, 0, "last", 7)
    assert (own.patience, own.weight_decay, own.schedule) == (0, 0.5, "constant")


def test_dev_chooses_the_kept_epoch(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any]
) -> None:
    from nerbert.evaluation.evaluate import evaluate

    finetune(str(tiny_encoder), data, tmp_path / "tagger", DEV)
    facts = card(tmp_path / "tagger")
    best = max(facts["log"], key=lambda entry: entry["dev_f1"])
    assert best["dev_f1"] > 0
    assert facts["best_step"] == best["step"]
    assert evaluate(tmp_path / "tagger", data / "dev.conll").f1_mean == pytest.approx(best["dev_f1"])


def test_the_usual_rate_follows_the_encoders_width(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any]
) -> None:
    from transformers import BertConfig, DistilBertConfig

    widths = [64, 384, 767, 768, 1024]
    assert [start.usual_rate(BertConfig(hidden_size=width)) for width in widths] == [2e-4, 2e-4, 2e-4, 5e-5, 5e-5]
    assert start.usual_rate(DistilBertConfig(dim=128)) == 2e-4
    trained = [start.usual_rate(BertConfig(hidden_size=width), count) for width in widths[2:4] for count in (1, 10, 11)]
    assert trained == [5e-5, 5e-5, 1e-4, 1.25e-5, 1.25e-5, 2.5e-5]
    assert {start.usual_rate(BertConfig(hidden_size=192), count) for count in (1, 10, 50)} == {5e-4}
    for name, rate in (("own", 0.0), ("given", 1e-3)):
        finetune(str(tiny_encoder), data, tmp_path / name, replace(FAST, learning_rate=rate))
        assert card(tmp_path / name)["settings"]["learning_rate"] == (rate or 2e-4)


def test_the_language_of_the_data_stands_in_the_card(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any]
) -> None:
    for language, expected in (("hi", "hi"), ("", "en")):
        finetune(str(tiny_encoder), data, tmp_path / expected, FAST, reading=Reading(language=language))
        assert card(tmp_path / expected)["language"] == expected


def test_texts_without_words_are_cut_as_the_model_cuts_them(
    tiny_encoder: Path, tmp_path: Path, card: Callable[[Path], Any]
) -> None:
    encoder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, encoder)
    (encoder / "nerbert.json").write_text(json.dumps(read_card(str(encoder)) | {"language": "de"}))
    row = {"text": "Am 3. Oktober in 서울.", "entities": [{"start": 17, "end": 19, "label": "place"}]}
    (tmp_path / "train.jsonl").write_text(json.dumps(row))
    for name, reading in (("de", Reading()), ("en", Reading(language="en", word_splitter="unicode-words-1"))):
        finetune(str(encoder), tmp_path / "train.jsonl", tmp_path / name, FAST, reading=reading)
    facts = {name: (card(tmp_path / name)["language"], card(tmp_path / name)["word_splitter"]) for name in ("de", "en")}
    assert facts == {"de": ("de", "unicode-words-2"), "en": ("en", "unicode-words-1")}
    sentences = [evaluate(tmp_path / name, tmp_path / "train.jsonl").sentences for name in facts]
    assert sentences == [1, 2]  # "3." ends one in English alone


def test_the_splitter_asked_for_is_the_taggers(tiny_encoder: Path, tmp_path: Path, card: Callable[[Path], Any]) -> None:
    """Not even the nearest of the others would cut raw text as the training texts were cut."""
    row = {"text": "Yesterday in 北京 and Oslo/Nord", "entities": [{"start": 13, "end": 15, "label": "place"}]}
    for name in ("train", "source"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
    asked = Reading(word_splitter="gliner-words-1")
    finetune(str(tiny_encoder), tmp_path / "train.jsonl", tmp_path / "one", FAST, reading=asked)
    read = read_data(tmp_path / "source.jsonl", reading=asked)
    source = stage.finetune_data(str(tiny_encoder), _in_memory(read.train), FAST, source=read)
    assert card(tmp_path / "one")["word_splitter"] == source.card["word_splitter"] == "gliner-words-1"


def test_thai_that_a_dictionary_cuts_is_tagged_in_its_words(tiny_encoder: Path, tmp_path: Path) -> None:
    pytest.importorskip("icu", reason="the extra icu is not installed: pip install 'nerbert[icu]'")
    text = "เขาไปกรุงเทพเมื่อวาน"
    row = {"text": text, "entities": [{"start": 5, "end": 12, "label": "place"}]}
    (tmp_path / "train.jsonl").write_text(json.dumps(row))
    asked = Reading(word_splitter="icu")
    finetune(str(tiny_encoder), tmp_path / "train.jsonl", tmp_path / "th", FAST, reading=asked)
    found = Tagger.load(tmp_path / "th")
    assert found.splitter == icu_splitter()
    (words,) = [each.words for each in read_data(tmp_path / "train.jsonl", reading=asked).train]
    assert [text[start:end] for start, end in words] == ["เขา", "ไป", "กรุงเทพ", "เมื่อ", "วาน"]
    example = Example(text, words, (Span(5, 12, "place"),))
    again = train_tagger.finetune_examples(str(tmp_path / "th"), [example], [], FAST)
    assert again.card["word_splitter"] == icu_splitter()


def _in_memory(examples: list[Example]) -> DataSet:
    return DataSet(Path("memory"), examples, [], {}, [])


def test_a_card_says_how_texts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.words.icu_splitter", lambda: "icu-words-1/77")
    splitters = "unicode-words-1", "icu-words-1/77", "gliner-words-1"
    old, icu, plain = ({"word_splitter": splitter, "language": "ko"} for splitter in splitters)
    cards = old, icu, plain, plain | {"head": "gliner"}
    assert [reading_for(each, None).word_splitter for each in cards] == [*splitters, ""]
    trained = [reading_for(each, None, training=True).word_splitter for each in cards]
    assert trained == ["", "icu-words-1/77", "", ""]
    said = Reading(language="en", word_splitter="unicode", split="80/20")
    assert said.word_splitter == "unicode-words-2"
    with pytest.raises(
        InputError, match="setting word_splitter: word splitter 'other'; this version of nerbert has unic"
    ):
        Reading(word_splitter="other")
    assert reading_for(icu, said) == said
    assert reading_for(icu, Reading(split="80/20")).language == "ko"
    assert reading_for({}, None) == Reading()


def test_truncated_words_are_missed(tiny_encoder: Path, tmp_path: Path, card: Callable[[Path], Any]) -> None:
    from nerbert.evaluation.evaluate import evaluate

    row = "Oslo\tB-place\n" * 30 + "\n"
    (tmp_path / "train.conll").write_text(row * 4)
    settings = FinetuneSettings(
        max_steps=30, min_steps=30, precision="fp32", threads=1, max_length=20, learning_rate=1e-2
    )
    recall = {}
    for how in ("window", "truncate"):
        finetune(str(tiny_encoder), tmp_path, tmp_path / how, replace(settings, on_too_long=how))
        assert card(tmp_path / how)["on_too_long"] == how
        (score,) = evaluate(tmp_path / how, tmp_path / "train.conll").scores.values()
        assert score.gold == 120
        recall[how] = score.recall
    assert recall["window"] == 1
    assert 0 < recall["truncate"] < 20 / 30


def test_a_data_folder_must_have_what_is_asked(tiny_encoder: Path, data: Path, tmp_path: Path) -> None:
    (data / "dev.conll").unlink()
    with pytest.raises(SettingsError, match="has no dev split"):
        finetune(str(tiny_encoder), data, tmp_path / "t", DEV)
    (data / "train.conll").write_text("only\tO\nwords\tO\n")
    with pytest.raises(InputError, match="no training sentence has an entity"):
        finetune(str(tiny_encoder), data, tmp_path / "t", FAST)
    (data / "train.conll").unlink()
    with pytest.raises(InputError, match=r"holds no train split, say train\.conll"):
        finetune(str(tiny_encoder), data, tmp_path / "t", FAST)
    assert not (tmp_path / "t").exists()


def test_a_failing_run_leaves_nothing(
    tiny_encoder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train

    def fail_at_second(
        model: Any, feed: Any, objective: Any, settings: FinetuneSettings, *rest: Any, **named: Any
    ) -> Any:
        if settings.seed == 2:
            raise NerbertError("the loss became nan")
        return real(model, feed, objective, settings, *rest, **named)

    monkeypatch.setattr(train_tagger, "train", fail_at_second)
    with pytest.raises(NerbertError, match="nan"):
        finetune(str(tiny_encoder), data, tmp_path / "out" / "tagger", FAST, seeds=(1, 2))
    assert not list((tmp_path / "out").iterdir())


def test_several_processes_are_refused(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="fine-tuning runs in one process: start it without torchrun"):
        finetune(str(tiny_encoder), tmp_path, tmp_path / "tagger", FAST)
    assert not list(tmp_path.iterdir())


def test_output_is_not_overwritten_by_accident(tiny_encoder: Path, data: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(tiny_encoder, tmp_path / "tagger"))
    with pytest.raises(OutputExists, match="exists already"):
        finetune(str(tiny_encoder), data, output, FAST)
    (output / "notes.txt").write_text("old")
    finetune(str(tiny_encoder), data, output, FAST, overwrite=True)
    assert not (output / "notes.txt").exists()
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.txt").write_text("years of work")
    with pytest.raises(OutputExists, match="not a folder that nerbert made"):
        finetune(str(tiny_encoder), data, foreign, FAST, overwrite=True)
    assert (foreign / "chapter.txt").read_text() == "years of work"


@pytest.mark.parametrize("select", ["last", "dev"])
def test_heads_never_get_a_model_that_still_drops_out(
    tiny_encoder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, select: Literal["last", "dev"]
) -> None:
    seen, real = list[bool](), TokenClassification.head

    def spy(self: TokenClassification, model: Any, *rest: Any) -> Any:
        seen.append(model.training)
        return real(self, model, *rest)

    monkeypatch.setattr(TokenClassification, "head", spy)
    finetune(str(tiny_encoder), data, tmp_path / "tagger", replace(FAST, select=select))
    assert seen == [False] * (2 if select == "dev" else 1)


@pytest.mark.parametrize("select", ["last", "dev"])
def test_examples_in_memory_give_the_tagger_of_the_files(
    tiny_encoder: Path, data: Path, tmp_path: Path, card: Callable[[Path], Any], select: Literal["last", "dev"]
) -> None:
    settings, there = replace(DEV, select=select), read_data(data)
    (folder,) = finetune(str(tiny_encoder), data, tmp_path / "tagger", settings, calibrate=False)
    (tmp_path / "written").mkdir()
    found = train_tagger.finetune_examples(
        str(tiny_encoder), there.train, there.dev, settings, tmp_path / "written", facts={"language": "en"}
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret-place", "tagger", "written"]
    saved = load_tagging_model(str(tmp_path / "written"))
    for other in (load_tagging_model(str(folder)), saved):
        assert other.classifier.weight.equal(found.model.classifier.weight)
    told, written = card(folder), card(tmp_path / "written")
    assert {name: told[name] for name in found.card} == {name: written[name] for name in found.card}
    assert found.log.steps == told["log"][-1]["step"]
    assert found.head.predict(there.dev).word_spans(len(there.dev)) == spans_of_the_loaded(folder, there.dev)


def spans_of_the_loaded(folder: Path, examples: list[Example]) -> list[list[tuple[int, int, str]]]:
    from nerbert.tagger.tagger import Tagger

    return Tagger.load(folder, device="cpu").head.predict(examples).word_spans(len(examples))


@pytest.mark.parametrize(("objective", "why"), [("mlm", "pretrain"), ("headless", "head_name is ''"), ("lost", "'x'")])
def test_an_objective_without_a_head_is_refused_before_anything_is_trained(
    tiny_encoder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str, why: str
) -> None:
    known = {
        "headless": type("Headless", (TokenClassification,), {"head_name": ""}),
        "lost": type("X", (TokenClassification,), {"head_name": "x"}),
    }
    monkeypatch.setattr(OBJECTIVES, "_known", {"mlm": OBJECTIVES._known["mlm"], **known})
    monkeypatch.delattr(TokenClassification, "make_model")
    with pytest.raises(SettingsError, match=why) as caught:
        finetune(str(tiny_encoder), data, tmp_path / "tagger", replace(FAST, objective=objective))
    assert caught.value.setting == "objective"
