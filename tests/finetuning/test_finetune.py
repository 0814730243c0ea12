import json
import re
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file

import nerbert.finetuning.finetune as stage
from nerbert import evaluate
from nerbert.data.splits import DataSet, read_data
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError
from nerbert.finetuning import start
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.conll import Conll
from nerbert.formats.documents import Reading, reading_for
from nerbert.formats.format import FORMATS
from nerbert.formats.lines import Stream
from nerbert.model.backbone import save_model, tags_of
from nerbert.model.folder import TaggerFacts, read_card, write_card
from nerbert.model.surgery import train_tokenizer
from nerbert.records import Document, Repairs
from nerbert.render.cards import tagger_card
from nerbert.tagger.calibrate import calibrate
from nerbert.tagger.tagger import Tagger
from nerbert.terminal import percent
from nerbert.training.objective import OBJECTIVES
from nerbert.training.run import Run
from nerbert.training.sections import change_settings
from nerbert.training.settings import Section
from nerbert.training.tagging import TokenClassification
from tests.calls import noted
from tests.commands import exit_code
from tests.encoder.backbones import load_tagging_model, tiny_mlm
from tests.raised import raises
from tests.stages import finetune

FAST = FinetuneSettings(epochs=1, min_steps=0, precision="fp32", threads=1, max_length=64, source_epochs=1)
DEV = FinetuneSettings(
    epochs=4, min_steps=0, precision="fp32", threads=1, learning_rate=3e-3, batch_size=8, select="dev"
)
ROWS = "The\tO\nMargarethe\tB-ship\nsailed\tO\n\nLarsen\tB-person\n&\tI-person\nHolm\tI-person\n\n"
BODY = "bert.encoder.layer.0.output.dense.weight"
HEAD = ("classifier.weight", "classifier.bias")
Tune = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A few sentences of ships, with a dev part."""
    folder = tmp_path / "secret-place" / "ships"
    folder.mkdir(parents=True)
    (folder / "train.conll").write_text(ROWS * 6)
    (folder / "dev.conll").write_text(ROWS)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source domain, one of whose types has the name that the target's has on CoNLL-2003."""
    path = tmp_path / "source.conll"
    path.write_text("Oslo\tB-LOC\nharbour\tO\nof\tO\nKari\tB-PER\nNordmann\tI-PER\n\n" * 5)
    return path


@pytest.fixture
def tune(tiny_encoder: Path, data: Path, tmp_path: Path) -> Tune:
    """Fine-tune an encoder, the tiny one if not told, on the data; return the (first) tagger's folder."""

    def tuned(
        settings: FinetuneSettings = FAST,
        name: str = "tagger",
        encoder: Path = tiny_encoder,
        on: Path = data,
        **more: Any,
    ) -> Path:
        return finetune(str(encoder), on, tmp_path / name, settings, **more)[0]

    return tuned


def card(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "nerbert.json").read_text()))


def test_without_seeds_the_output_is_the_tagger(tune: Tune, tiny_encoder: Path, tmp_path: Path) -> None:
    output = tune()
    assert output == tmp_path / "tagger"
    facts = card(output)
    told = [facts[name] for name in ("kind", "types", "max_length", "best_step", "language")]
    assert told == ["tagger", ["person", "ship"], 64, None, "en"]
    assert Tagger.load(output, device="cpu").head.pieces.window == facts["window_length"] == 16  # type: ignore[attr-defined]
    assert (facts["data"]["name"], set(facts["data"]["sha256"])) == ("ships", {"train.conll", "dev.conll"})
    assert (facts["encoder"]["kind"], facts["settings"]["learning_rate"]) == ("untrained", 2e-4)
    assert not {"dev_f1", "shared_types"} & {*facts, *facts["log"][-1]}
    assert 0 <= facts["dev"]["f1"] <= 1
    assert tags_of(load_tagging_model(str(output)), "") == ["O", "B-person", "I-person", "B-ship", "I-ship"]
    for file in output.glob("*.json"):
        assert "secret-place" not in file.read_text()
        assert str(tiny_encoder) not in file.read_text()
    with raises(OutputExists):
        tune()


def test_a_new_heads_rate_follows_the_size_of_the_states(tune: Tune, tiny_encoder: Path, tmp_path: Path) -> None:
    small = Path(shutil.copytree(tiny_encoder, tmp_path / "small")) / "model.safetensors"
    weights = load_file(small)
    last = {name: each / 10 for name, each in weights.items() if "layer.0.output.LayerNorm" in name}
    save_file(weights | last, small, {"format": "pt"})
    folders = tune(FAST, "one"), tune(FAST, "other", small.parent)
    rates = [card(folder)["settings"]["new_layers_learning_rate"] for folder in folders]
    assert rates[1] == pytest.approx(10 * rates[0])
    again = tune(replace(FAST, source_head="shared"), "again", tmp_path / "one")
    assert card(again)["settings"]["new_layers_learning_rate"] == 0, "the head isn't new"


def test_a_dev_set_gives_the_confidences_their_temperature(
    tune: Tune, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain, read = Path(shutil.copytree(sample / "domain", tmp_path / "domain")), list[str]()

    class Watched(Conll):
        def read(self, source: Path | Stream, repairs: Repairs) -> Iterator[Document]:
            read.append(source.name)
            return super().read(source, repairs)

    monkeypatch.setitem(FORMATS._known, "conll", Watched)
    output = tune(replace(DEV, epochs=5, select="last"), on=domain)
    assert sorted(read) == ["dev.conll", "train.conll"], "each once; the test split is nobody's business"
    facts = card(output)
    told = facts["calibration"]
    assert facts["dev"]["sentences"] == told["sentences"] == 50
    assert 0 < facts["dev"]["f1"] < 1
    assert set(facts["dev"]["by_type"]) == set(facts["types"])
    assert told["data"] == {"name": "dev.conll", "sha256": facts["data"]["sha256"]["dev.conll"]}
    assert Tagger.load(output, device="cpu").scaling.temperature == told["temperature"] != 1
    assert (output / "README.md").read_text() == tagger_card(facts)
    (again,) = calibrate(output, domain)
    assert again.calibration["temperature"] == pytest.approx(told["temperature"], rel=0.05), "bf16 and fp32"
    assert set(again.calibration) == set(told)


def test_what_is_not_calibrated_says_so(tune: Tune, data: Path) -> None:
    assert "calibration" not in card(tune(name="left out", calibrate=False))
    (data / "dev.conll").unlink()
    output = tune()
    assert not {"dev", "calibration"} & set(card(output))
    text = (output / "README.md").read_text()
    assert "Not calibrated: no held-out sentences were given" in text
    assert "secret-place" not in text


def test_the_stage_writes_no_card_and_its_hook_sees_the_unfinished_folder(
    tiny_encoder: Path, data: Path, tmp_path: Path
) -> None:
    output, seen = tmp_path / "taggers", list[Any]()

    def hook(folder: Path, facts: TaggerFacts) -> bool:
        assert not output.exists()
        assert (folder / "model.safetensors").is_file()
        assert facts.before is None
        seen.append(facts.card)
        return True

    finetune(tiny_encoder, data, output, FAST, seeds=(1, 2), card=hook)
    assert seen == [card(output / name) for name in ("seed-1", "seed-2")]
    assert not list(output.rglob("README.md"))


def test_dev_chooses_the_checkpoint_that_is_kept_and_calibrated(
    tune: Tune, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = noted(monkeypatch, stage, "predict_entities", lambda head, *_: head.scorer._model.classifier.weight)
    output = tune(DEV)
    facts = card(output)
    best = max(facts["log"], key=lambda entry: entry["dev_f1"])
    assert best["dev_f1"] > 0
    assert facts["best_step"] == best["step"] < facts["log"][-1]["step"]
    assert facts["settings"]["learning_rate"] == 3e-3
    assert evaluate(output, data / "dev.conll").f1_mean == pytest.approx(best["dev_f1"])
    (head,) = heads
    assert head.equal(load_tagging_model(str(output)).classifier.weight)
    assert "chose the checkpoint" in (output / "README.md").read_text()


def test_a_hubs_name_is_told_a_folders_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.finetuning.domains.read_card", lambda _: {})
    domains = Domains(DataSet(tmp_path, []))
    names = [domains.facts(name)["encoder"]["name"] for name in ("some/encoder", "embedded", str(tmp_path))]
    assert names == ["some/encoder", "embedded", None]


def test_named_seeds_have_a_folder_each_one_seed_too(
    tiny_encoder: Path, data: Path, tmp_path: Path, tune: Tune
) -> None:
    for name, seeds in (("one", (3,)), ("two", (3, 1))):
        output = tmp_path / name
        folders = finetune(str(tiny_encoder), data, output, FAST, seeds=seeds)
        assert folders == [output / f"seed-{seed}" for seed in seeds]
        names = {path.name for path in output.iterdir() if not path.name.startswith(".")}
        assert names == {"manifest.json", *(path.name for path in folders)}
        assert json.loads((output / "manifest.json").read_text())["seeds"] == list(seeds)
        scored = evaluate(output, data / "dev.conll")
        assert [Path(each).name for each in scored.scores] == sorted(path.name for path in folders)
    paths = [*folders, tune(replace(FAST, seed=3), "one", overwrite=True)]
    three, one, alone = (load_tagging_model(str(path)).classifier.weight for path in paths)
    assert three.equal(alone)
    assert not three.equal(one)


def test_the_fewest_steps_are_known_before_the_sentences() -> None:
    usual = FinetuneSettings(objective="tagging")
    made = (usual, replace(usual, max_steps=5), replace(usual, min_steps=0), replace(usual, objective="names"))
    assert [start.least_steps(settings) for settings in made] == [250, 5, 1, 50]


def test_command_says_where_the_taggers_are_and_how_good(
    tiny_encoder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`max_steps` needs no other setting, though the default of min_steps is higher."""
    output, fast = tmp_path / "taggers", ["--set", "max_steps=2", "--set", "threads=1"]
    assert exit_code("finetune", tiny_encoder, "--data", data, "-o", output, "--seeds", "1,2", *fast) == 0
    cards = [card(output / f"seed-{seed}") for seed in (1, 2)]
    assert [each["log"][-1]["step"] for each in cards] == [2, 2]
    assert capsys.readouterr().out.splitlines() == [
        f"tagger: {output}/seed-{seed}; F1 {percent(each['dev']['f1'])} on {each['dev']['sentences']} dev sentences"
        for seed, each in zip((1, 2), cards, strict=True)
    ]
    assert exit_code("finetune", tiny_encoder, "--data", data / "train.conll", "-o", tmp_path / "one", *fast) == 0
    out, log = capsys.readouterr()
    assert out == f"tagger: {tmp_path}/one; no dev split to score it on\n"
    assert re.search(r"fine-tuning, seed 1: step 1 of 2, loss \d\.\d+, [\d,]+ tokens/s, .+ left\n", log)
    german = "Die Stadt [Oslo|town] wurde nicht von der Firma gebaut, und auch die Kirche ist noch nicht alt.\n"
    (tmp_path / "more.marked").write_text(german)
    more = ["--data", tmp_path / "more.marked", "-o", tmp_path / "more", *fast]
    assert exit_code("finetune", tmp_path / "one", *more) == 0
    lost = ", ".join(card(tmp_path / "one")["types"])
    log = capsys.readouterr().err
    assert f"the new tagger won't find {lost}: types of {tmp_path}/one that the data lack; " in log
    foreign = f"note: {tmp_path}/more.marked seems to be in another language than {tmp_path}/one reads (en); the model "
    assert log.count(foreign) == 1


Heads = list[tuple[int, str, dict[str, torch.Tensor]]]


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Heads:
    """Note what each training starts from: its seed, `select`, and the weights of its model."""

    def note(run: Run) -> tuple[int, str, dict[str, torch.Tensor]]:
        assert isinstance(run.settings, FinetuneSettings)
        return run.settings.seed, run.settings.select, deepcopy(run.model.state_dict())

    return noted(monkeypatch, stage, "train", note)


def test_each_seed_learns_from_a_source_of_its_own_first(
    tune: Tune, source: Path, tmp_path: Path, starts: Heads
) -> None:
    settings = replace(FAST, select="dev")
    facts = card(tune(settings, "both", source=source, seeds=(4, 2)))
    assert [each[:2] for each in starts] == [(4, "last"), (4, "dev"), (2, "last"), (2, "dev")]
    encoder, from_4, again, from_2 = (weights for _, _, weights in starts)
    assert encoder[BODY].equal(again[BODY]), "each source starts from the encoder"
    assert not encoder[HEAD[0]].equal(again[HEAD[0]])
    assert not from_4[BODY].equal(from_2[BODY])
    assert (facts["types"], facts["data"]["name"], facts["source_data"]["name"], facts["encoder"]["kind"]) == (
        ["person", "ship"],
        "ships",
        "source.conll",
        "untrained",
    )
    alone = tune(replace(settings, seed=2), "alone", source=source)
    assert starts[-1][2][BODY].equal(from_2[BODY])
    one, other = (load_tagging_model(str(each)).state_dict() for each in (alone, tmp_path / "both" / "seed-2"))
    assert all(one[name].equal(other[name]) for name in one)


def test_a_shared_head_keeps_the_rows_of_shared_types(
    tune: Tune, source: Path, starts: Heads, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, real = list[dict[str, torch.Tensor]](), stage.train_tagger

    def spy(*given: Any, **named: Any) -> Any:
        done = real(*given, **named)
        sources.append({name: each.clone() for name, each in done.model.state_dict().items()})
        return done

    monkeypatch.setattr(stage, "train_tagger", spy)
    cards = [card(tune(replace(FAST, seed=3, source_head=how), how, source=source)) for how in ("new", "shared")]
    learnt, (fresh, kept) = sources[2], (starts[1][2], starts[3][2])
    assert all(sources[0][name].equal(each) for name, each in learnt.items()), "one source for both forms"
    # the source's rows: O, B-LOC, I-LOC, B-PER, I-PER; the target's: O, B-person, I-person, B-ship, I-ship
    for name in HEAD:
        wanted = [learnt[name][0], learnt[name][3], learnt[name][4], fresh[name][3], fresh[name][4]]
        assert kept[name].equal(torch.stack(wanted))
    assert not kept[HEAD[0]][:3].equal(fresh[HEAD[0]][:3])
    assert all(kept[name].equal(fresh[name]) for name in fresh.keys() - {*HEAD})
    assert [each.get("shared_types") for each in cards] == [None, ["person"]]
    plain = [tune(replace(FAST, source_head=how), f"{how} alone") for how in ("new", "shared")]
    one, other = (load_tagging_model(str(each)).classifier.weight for each in plain)
    assert one.equal(other), "after what is no tagger it is a new one"
    assert "shared_types" not in card(plain[1])


def test_a_tagger_that_reads_two_layers_goes_the_whole_way(
    data: Path, source: Path, tmp_path: Path, tune: Tune, capsys: pytest.CaptureFixture[str]
) -> None:
    """From an encoder of three layers, whose card says that two of them were frozen."""
    tokenizer = train_tokenizer(["The Margarethe sailed", "Larsen & Holm"] * 3, 120)
    save_model(encoder := tmp_path / "encoder", tiny_mlm("bert", len(tokenizer), num_hidden_layers=3), tokenizer)
    write_card(encoder, "encoder", word_splitter="unicode-words-1", num_frozen_layers=2)
    output, text = tmp_path / "tagger", tmp_path / "text.txt"
    text.write_text("The Margarethe sailed. Larsen & Holm")
    settings = {
        "tagging.joined_layer": -1,
        "epochs": 40,
        "min_steps": 0,
        "learning_rate": 3e-3,
        "precision": "fp32",
        "threads": 1,
        "source_epochs": 1,
        "source_head": "shared",
        "select": "dev",
    }
    given = [each for name, value in settings.items() for each in ("--set", f"{name}={value}")]
    assert exit_code("finetune", encoder, "--data", data, "--source", source, "-o", output, *given) == 0
    facts = card(output)
    assert (facts["joined_layer"], facts["num_frozen_layers"], facts["dev"]["f1"]) == (2, 2, 1.0)
    assert facts["shared_types"] == ["person"]
    assert "calibration" in facts
    assert "Only nerbert loads it" in (output / "README.md").read_text()
    capsys.readouterr()
    assert exit_code("tag", output, text, "--json") == 0
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(each["text"], each["type"]) for row in rows for each in row["spans"]] == [
        ("Margarethe", "ship"),
        ("Larsen & Holm", "person"),
    ]
    facts = card(tune(FAST, "plain", output))
    assert "joined_layer" not in facts
    assert facts["num_frozen_layers"] == 2
    for layer in (0, 1):
        changed = change_settings(FAST, {"source_head": "shared", "tagging": {"joined_layer": layer}})
        with raises(SettingsError, "reads other layers (joined_layer)", setting="source_head"):
            tune(changed, "x", output)


def test_patience_ends_a_training_and_says_so(tune: Tune, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tune(replace(DEV, epochs=30, patience=2, schedule="constant"), seeds=(5,))
    facts = card(folder)
    scores, steps = ([entry[name] for entry in facts["log"]] for name in ("dev_f1", "step"))
    assert len(scores) < 30
    assert scores.index(max(scores)) == len(scores) - 3
    assert facts["best_step"] == steps[-3]
    said = f"fine-tuning, seed 5: ended after step {steps[-1]} of 60, out of patience; step {steps[-3]} is kept"
    assert said in capsys.readouterr().err
    assert evaluate(folder, data / "dev.conll").f1_mean == pytest.approx(max(scores))


def test_bounds_on_steps_are_the_targets_alone() -> None:
    settings = FinetuneSettings(
        min_steps=9,
        max_steps=9,
        source_epochs=2,
        select="dev",
        patience=8,
        weight_decay=0.5,
        schedule="constant",
        seed=7,
    )
    first = stage.source_settings(settings)
    assert (first.epochs, first.min_steps, first.max_steps, first.select, first.seed) == (2, 0, 0, "last", 7)
    assert (first.patience, first.weight_decay, first.schedule) == (0, 0.5, "constant")


def test_the_usual_rate_follows_the_encoders_width() -> None:
    from transformers import BertConfig, DistilBertConfig

    widths = [64, 384, 767, 768, 1024]
    assert [start.usual_rate(BertConfig(hidden_size=width)) for width in widths] == [2e-4, 2e-4, 2e-4, 1e-4, 1e-4]
    assert start.usual_rate(DistilBertConfig(dim=128)) == 2e-4
    gentle = [start.usual_rate(BertConfig(hidden_size=width), gentle=True) for width in (192, 767, 768)]
    assert gentle == [5e-4, 1e-4, 5e-5]


def write_row(path: Path, text: str, start: int, end: int) -> Path:
    path.write_text(json.dumps({"text": text, "entities": [{"start": start, "end": end, "label": "place"}]}))
    return path


def test_texts_without_words_are_cut_as_the_model_cuts_them(tune: Tune, tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))
    (encoder / "nerbert.json").write_text(json.dumps(read_card(str(encoder)) | {"language": "de"}))
    rows = write_row(tmp_path / "train.jsonl", "Am 3. Oktober in 서울.", 17, 19)
    asked = Reading(), Reading(language="en", word_splitter="unicode-words-1")
    folders = [tune(FAST, f"{number}", encoder, rows, reading=reading) for number, reading in enumerate(asked)]
    assert [(card(each)["language"], card(each)["word_splitter"]) for each in folders] == [
        ("de", "unicode-words-2"),
        ("en", "unicode-words-1"),
    ]
    assert [evaluate(each, rows).sentences for each in folders] == [1, 2], '"3." ends one in English alone'


def test_the_splitter_asked_for_is_the_taggers(tune: Tune, tiny_encoder: Path, tmp_path: Path) -> None:
    """Not even the nearest of the others would cut raw text as the training texts were cut."""
    asked = Reading(word_splitter="gliner-words-1")
    rows = write_row(tmp_path / "train.jsonl", "Yesterday in 北京 and Oslo/Nord", 13, 15)
    read = read_data(rows, reading=asked)
    memory = DataSet(Path("memory"), read.train)
    after = stage.finetune_domains(str(tiny_encoder), Domains(memory, read), FAST)
    assert card(tune(on=rows, reading=asked))["word_splitter"] == after.card["word_splitter"] == "gliner-words-1"


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
    assert reading_for(icu, said) == said
    assert reading_for(icu, Reading(split="80/20")).language == "ko"
    assert reading_for({}, None) == Reading()
    with raises(InputError, "setting word_splitter: word splitter 'other'"):
        Reading(word_splitter="other")


class JoinsNone(TokenClassification):
    """An objective without tagging's settings."""

    settings = Section

    @classmethod
    def of(cls, task: Any) -> "JoinsNone":
        return cls(task.types)


def headed(name: str) -> type:
    return type("X", (TokenClassification,), {"head_name": name})


@pytest.mark.parametrize(
    ("changes", "setting", "words"),
    [
        ({"objective": "mlm"}, "objective", "pretrain"),
        ({"objective": "headless"}, "objective", "head_name is ''"),
        ({"objective": "lost"}, "objective", "'x'"),
        ({"objective": "gliner", "source_head": "shared"}, "source_head", "head of objective 'gliner'; leave it out"),
        (
            {"objective": "joins_none", "tagging": {"joined_layer": 1}},
            "tagging.joined_layer",
            "but objective = 'joins_none'",
        ),
        ({"patience": 8}, "patience", "must be 0 with select = 'last'"),
    ],
)
def test_settings_are_refused_before_anything_is_trained(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], setting: str, words: str
) -> None:
    known = {"headless": headed(""), "lost": headed("x"), "gliner": headed("gliner"), "joins_none": JoinsNone}
    kept = {name: OBJECTIVES._known[name] for name in ("mlm", "tagging")}
    monkeypatch.setattr(OBJECTIVES, "_known", kept | known)
    monkeypatch.delattr(TokenClassification, "make_model")
    with raises(SettingsError, words, setting=setting):
        tune(change_settings(FAST, changes))
    assert not (tmp_path / "tagger").exists()


@pytest.mark.parametrize(
    ("rows", "settings", "more", "kind", "words"),
    [
        (ROWS, DEV, {}, SettingsError, "has no dev split"),
        (ROWS, replace(FAST, num_layers=4), {}, SettingsError, "num_layers = 4: the backbone has 1 layer"),
        (ROWS, FAST, {"seeds": (1, 1)}, SettingsError, "one is given twice"),
        ("only\tO\nwords\tO\n", FAST, {}, InputError, "no training sentence has an entity"),
        (None, FAST, {}, InputError, "holds no train split, say train.conll"),
    ],
)
def test_messages(
    tune: Tune,
    data: Path,
    tmp_path: Path,
    rows: str | None,
    settings: FinetuneSettings,
    more: Any,
    kind: type[NerbertError],
    words: str,
) -> None:
    (data / "dev.conll").unlink()
    (data / "train.conll").unlink()
    if rows:
        (data / "train.conll").write_text(rows)
    with raises(kind, words):
        tune(settings, **more)
    assert not (tmp_path / "tagger").exists()


def test_several_processes_are_refused(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with raises(SettingsError, "fine-tuning runs in one process: start it without torchrun"):
        finetune(tiny_encoder, tmp_path, tmp_path / "tagger", FAST)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("select", ["last", "dev"])
def test_examples_in_memory_give_the_tagger_of_the_files(
    tiny_encoder: Path,
    data: Path,
    tmp_path: Path,
    tune: Tune,
    monkeypatch: pytest.MonkeyPatch,
    select: Literal["last", "dev"],
) -> None:
    training = noted(monkeypatch, TokenClassification, "head", lambda _, model, *rest: model.training)
    settings, there = replace(DEV, select=select), read_data(data)
    folder = tune(settings, calibrate=False)
    assert set(training) == {False}, "a head never gets a model that still drops out"
    (tmp_path / "written").mkdir()
    done = stage.finetune_domains(str(tiny_encoder), Domains(there), settings)
    done.save(tmp_path / "written")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret-place", "tagger", "written"]
    for other in (folder, tmp_path / "written"):
        assert load_tagging_model(str(other)).classifier.weight.equal(done.model.classifier.weight)
    told, written = card(folder), card(tmp_path / "written")
    assert {name: told[name] for name in done.card} == {name: written[name] for name in done.card}
    assert done.log.steps == told["log"][-1]["step"]
    loaded = Tagger.load(folder, device="cpu").head
    heads = (each.predict(there.dev).word_spans(len(there.dev)) for each in (done.head, loaded))
    assert next(heads) == next(heads)
