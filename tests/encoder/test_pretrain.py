"""Pre-training from a corpus to a folder: what is kept, what is told, how it goes on, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

import nerbert.encoder.pretrain as stage
from nerbert import pretrain
from nerbert.artifacts import write_json
from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.encoder.pretrain import prepare
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError
from nerbert.labels import sentence_example, spans_from_bio, tag_names, word_spans
from nerbert.metrics.score import score_spans
from nerbert.model import linear
from nerbert.model.backbone import load_tokenizer, tags_of
from nerbert.model.forward import TorchScorer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import pad_windows
from nerbert.training.checkpoint import BestCheckpoint, TrainLog
from nerbert.training.distributed import make_process_group
from nerbert.training.sections import make_settings
from tests.calls import noted
from tests.encoder.backbones import load_tagging_model, predict, write_fresh
from tests.encoder.open_rows import ROWS
from tests.encoder.preparing import written
from tests.raised import raises

SMALL: dict[str, Any] = {
    "epochs": 3,
    "learning_rate": 5e-3,
    "batch_size": 16,
    "precision": "fp32",
    "threads": 1,
    "fresh_num_layers": 1,
    "fresh_hidden_size": 64,
    "fresh_vocab_size": 1500,
    "max_length": 128,
}


def settings_of(corpus: Path, /, **more: Any) -> PretrainSettings:
    return make_settings(PretrainSettings, {"corpus": corpus, **SMALL, **more})


@pytest.fixture(scope="module")
def encoder(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder from a fresh backbone, whose weights are zeros at the end."""
    output = tmp_path_factory.mktemp("out") / "encoder"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BestCheckpoint, "__call__", spoiling(BestCheckpoint.__call__))
        pretrain(output, settings_of(sample_corpus))
    return output


def spoiling(real: Any) -> Any:
    """An evaluation before which all weights become 0: the third one."""

    def call(self: BestCheckpoint, model: Any, log: TrainLog) -> Any:
        epochs[log.steps] = None
        if list(epochs).index(log.steps) == 2:
            for parameter in model.parameters():
                parameter.data.zero_()
        return real(self, model, log)

    epochs: dict[int, None] = {}
    return call


def card(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "nerbert.json").read_text()))


def log_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: row[name] for name in row if name != "kind"} for row in rows if row["kind"] == kind]


def typed_f1(folder: Path, corpus: Path) -> float:
    """The F1 on typed entities of what was saved, on the whole validation split."""
    model = load_tagging_model(str(folder))
    pieces = SubwordTokenizer(load_tokenizer(str(folder)), model.config, SMALL["max_length"])
    examples = [sentence_example(each) for each in read_sentences(corpus, "validation")]
    found = predict(TorchScorer(model, "fp32"), pieces, examples, tags_of(model, ""), "legal")
    typed = [[s for s in spans_from_bio(each.tags) if s[2] != "ENTITY"] for each in found]
    return score_spans([[s for s in word_spans(e) if s[2] != "ENTITY"] for e in examples], typed).f1


def test_the_best_checkpoint_is_kept_and_all_is_logged(encoder: Path, sample_corpus: Path) -> None:
    facts = card(encoder)
    best = max(entry["typed_f1"] for entry in facts["log"])
    assert best > 0 == facts["log"][-1]["typed_f1"]
    assert facts["validation"]["typed_f1"] == best
    assert [entry["typed_f1"] for entry in facts["log"] if entry["step"] == facts["best_step"]] == [best]
    assert typed_f1(encoder, sample_corpus) == pytest.approx(best, abs=1e-9)
    assert tags_of(load_tagging_model(str(encoder)), "") == tag_names(read_manifest(sample_corpus)["categories"])
    steps = [each["step"] for each in log_of(encoder, "train")]
    assert steps == list(range(1, steps[-1] + 1))
    assert log_of(encoder, "validation") == facts["log"]
    assert f"{100 * best:.2f}" in (encoder / "README.md").read_text()
    assert not [path for path in encoder.iterdir() if path.name.startswith((".", "best", "step"))]


@pytest.mark.parametrize(
    ("name", "types", "figure"),
    [("4types", {"ENTITY", "location", "organisation", "person"}, "typed_f1"), ("1type", {"ENTITY"}, "span_f1")],
)
def test_another_label_set_scored_after_so_many_steps(
    sample_corpus: Path, tmp_path: Path, name: str, types: set[str], figure: str
) -> None:
    settings = settings_of(sample_corpus, label_set=name, max_steps=7, evaluation_steps=3, max_eval_samples=20)
    pretrain(tmp_path / "e", settings)
    facts = card(tmp_path / "e")
    assert [entry["step"] for entry in facts["log"]] == [3, 6, 7]
    assert facts["label_set"]["name"] == name
    assert tags_of(load_tagging_model(str(tmp_path / "e")), "") == tag_names(types)
    assert facts["validation"][figure] == max(entry[figure] for entry in facts["log"])


def test_a_folder_is_a_backbone_and_two_runs_are_equal(few: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    backbone = Path(shutil.copytree(tiny_encoder, tmp_path / "secret-place" / "backbone"))
    for name in ("a", "b"):
        pretrain(tmp_path / name, settings_of(few, backbone=str(backbone), max_steps=4))
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("a", "b"))
    assert all(first[key].equal(second[key]) for key in first)
    assert card(tmp_path / "a")["settings"]["backbone"] == "backbone"
    for file in (tmp_path / "a").glob("*.json"):
        text = file.read_text()
        assert "secret-place" not in text, file
        assert str(few.parent) not in text, file


def test_the_stage_writes_no_card_and_a_failing_hook_leaves_nothing(few: Path, tmp_path: Path) -> None:
    settings, output = settings_of(few, max_steps=1), tmp_path / "encoder"

    def hook(folder: Path, facts: stage.EncoderFacts) -> None:
        assert not output.exists()
        assert facts.card == card(folder)
        assert facts.manifests == [read_manifest(few)]
        raise NerbertError("no card")

    with raises(NerbertError):
        stage.pretrain(settings, output, card=hook)
    assert not output.exists()
    stage.pretrain(settings, output)
    assert not (output / "README.md").exists()


def test_what_is_wrong_is_said_before_training(few: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    strange, outside = shutil.copytree(tiny_encoder, tmp_path / "strange"), tmp_path / "outside"
    tokenizer = load_tokenizer(str(strange))
    tokenizer.add_special_tokens({"pad_token": "[NEW]"})
    tokenizer.save_pretrained(strange)
    second, output = shutil.copytree(few, tmp_path / "second"), tmp_path / "e"
    outside.mkdir()
    write_json(outside / "nerbert.json", {})
    (outside / "open.jsonl").write_text("{}\n")
    texts: dict[str, Any] = {"objective": "concepts", "corpus": [], "open_types": {"files": [outside / "open.jsonl"]}}
    refused: list[tuple[Path, dict[str, Any], type[NerbertError], str]] = [
        (output, {"corpus": tmp_path / "none"}, InputError, "no such corpus"),
        (output, {"backbone": "./none"}, InputError, "no such folder"),
        (output, {"backbone": str(strange)}, InputError, "they don't belong together"),
        (output, {"backbone": str(tiny_encoder), "num_layers": 4}, SettingsError, "num_layers = 4: the backbone has 1"),
        (few, {}, OutputExists, "lies in, or around, the corpus"),
        (few / "inside", {}, OutputExists, "lies in, or around, the corpus"),
        (few.parent, {}, OutputExists, "not a folder that nerbert made"),
        (second / "e", {"corpus": [few, second], "objective": "concepts"}, OutputExists, "around, the corpus"),
        (outside, texts, OutputExists, "lies in, or around, the open_types.files"),
    ]
    before = sorted(path for folder in (few, second, outside) for path in folder.rglob("*"))
    for folder, changes, kind, words in refused:
        with raises(kind, words):
            pretrain(folder, settings_of(few, **changes), overwrite=True)
    with raises(OutputExists, "exists already"):
        pretrain(tiny_encoder, settings_of(few))
    assert sorted(path for folder in (few, second, outside) for path in folder.rglob("*")) == before
    assert not output.exists()


def test_a_new_head_has_a_rate_of_its_own(sample_corpus: Path) -> None:
    chosen = [settings_of(sample_corpus, learning_rate=1e-5, objective=name) for name in ("tagging", "mlm")]
    rates = [prepare(each, make_process_group(each)).settings.new_layers_learning_rate for each in chosen]
    assert rates == [pytest.approx(0.07 / 51, rel=0.1), 0]  # 64 states of a new LayerNorm: 51 in the mean


def test_what_a_run_hangs_on_is_told_apart(sample_corpus: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    """A shard that changed under an old manifest, and a backbone with other dropout, are other runs."""
    corpus = Path(shutil.copytree(sample_corpus, tmp_path / "corpus"))
    manifest = json.loads((corpus / "manifest.json").read_text())
    del manifest["shard_sha256"]
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    backbone = Path(shutil.copytree(tiny_encoder, tmp_path / "backbone"))
    settings = settings_of(corpus, backbone=str(backbone))

    def identity(**changes: Any) -> dict[str, Any]:
        return dict(prepare(replace(settings, **changes), make_process_group(settings)).identity)

    first = identity()
    assert identity(max_tokens_per_batch=99, threads=0) == first
    config = json.loads((backbone / "config.json").read_text())
    (backbone / "config.json").write_text(json.dumps(config | {"hidden_dropout_prob": 0.5}))
    second = identity()
    assert [name for name in first if first[name] != second[name]] == ["config"]
    (shard,) = corpus.glob("sentences/*.parquet")
    table = pq.read_table(shard)
    pq.write_table(table.take(list(reversed(range(table.num_rows)))), shard)
    third = identity()
    assert [name for name in second if second[name] != third[name]] == ["shards"]


def test_scoring_takes_no_larger_batches_than_training(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = noted(monkeypatch, linear, "pad_windows", lambda *given: pad_windows(*given).ids.size)
    settings = settings_of(few, max_steps=1, batch_size=2, max_length=48, max_tokens_per_batch=10**9)
    pretrain(tmp_path / "e", settings)
    assert len(sizes) > 5
    assert max(sizes) <= 2 * 48


@pytest.mark.nightly
@pytest.mark.parametrize("objective", ["tagging", "concepts", "names"])
def test_two_processes_make_the_encoder_of_one(sample_corpus: Path, tmp_path: Path, objective: str) -> None:
    write_fresh(settings_of(sample_corpus), backbone := tmp_path / "b")
    drops = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = json.loads((backbone / "config.json").read_text())
    (backbone / "config.json").write_text(json.dumps(config | drops))
    values = {name: value for name, value in SMALL.items() if not name.startswith("fresh")}
    values |= {"objective": objective, "corpus": str(sample_corpus), "backbone": str(backbone), "max_steps": 5}
    rows = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    if objective != "tagging":
        rows += ["[open_types]", f"files = [{json.dumps(str(written(tmp_path / 'open.jsonl', ROWS)))}]"]
    (tmp_path / "s.toml").write_text("\n".join(rows))
    logs = []
    for count in (1, 2):
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        command = ["-m", "nerbert", "pretrain", str(tmp_path / "s.toml"), "-o", str(tmp_path / f"e{count}")]
        done = subprocess.run(
            [*torchrun, *command],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("encoder:") == 1
        kept = ("concepts", "boundaries", "types", "loss", "norm", "f1", "threshold", "typed_f1")
        every = [log_of(tmp_path / f"e{count}", kind) for kind in ("train", "validation")]
        logs.append([{name: row[name] for name in kept if name in row} for rows in every for row in rows])
    assert len(logs[0]) == 6
    for one, two in zip(*logs, strict=True):
        assert two == pytest.approx(one, rel=1e-4)
    if objective == "tagging":
        f1 = typed_f1(tmp_path / "e2", sample_corpus)
        assert card(tmp_path / "e2")["validation"]["typed_f1"] == pytest.approx(f1, abs=1e-9)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
