import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import nerbert.encoder.pretrain as stage
from nerbert import pretrain
from nerbert.cli import main
from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.encoder.pretrain import prepare
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError, StaleOutput
from nerbert.labels import sentence_example, spans_from_bio, tag_names, word_spans
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import load_tokenizer, tags_of
from nerbert.model.forward import TorchScorer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import padded
from nerbert.training.checkpoint import BestCheckpoint
from nerbert.training.distributed import make_process_group
from nerbert.training.tagging import TokenClassification
from tests.encoder.backbones import load_tagging_model, predict, write_fresh

SMALL: dict[str, Any] = {
    "epochs": 4, "learning_rate": 5e-3, "batch_size": 16, "precision": "fp32", "threads": 1,
    "fresh_num_layers": 1, "fresh_hidden_size": 64, "fresh_vocab_size": 1500, "max_length": 128,
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder from a fresh backbone."""
    output = tmp_path_factory.mktemp("out") / "encoder"
    pretrain(output, PretrainSettings(corpus=(sample_corpus,), **SMALL))
    return output


def card(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "nerbert.json").read_text()))


def typed_f1(folder: Path, corpus: Path) -> float:
    """The F1 on typed entities of what was saved, on the whole validation split."""
    model = load_tagging_model(str(folder))
    pieces = SubwordTokenizer(load_tokenizer(str(folder)), model.config, SMALL["max_length"])
    examples = [sentence_example(each) for each in read_sentences(corpus, "validation")]
    found = predict(TorchScorer(model, "fp32"), pieces, examples, tags_of(model, ""), "legal")
    typed = [[s for s in spans_from_bio(each.tags) if s[2] != "ENTITY"] for each in found]
    return score_spans([[s for s in word_spans(e) if s[2] != "ENTITY"] for e in examples], typed).f1


def test_evaluations_come_after_so_many_steps_and_at_the_end(sample_corpus: Path, tmp_path: Path) -> None:
    settings = PretrainSettings(corpus=(sample_corpus,), **SMALL | {"epochs": 1, "max_steps": 7, "evaluation_steps": 3})
    log = pretrain(tmp_path / "out", settings).entries
    assert [each["step"] for each in log] == [3, 6, 7]
    assert all("typed_f1" in each for each in log)


def test_the_best_checkpoint_is_kept(encoder: Path, sample_corpus: Path) -> None:
    facts = card(encoder)
    best = max(entry["typed_f1"] for entry in facts["log"])
    assert best > 0
    assert facts["validation"]["typed_f1"] == best
    assert [entry["typed_f1"] for entry in facts["log"] if entry["step"] == facts["best_step"]] == [best]
    assert typed_f1(encoder, sample_corpus) == pytest.approx(best, abs=1e-9)
    assert tags_of(load_tagging_model(str(encoder)), "") == tag_names(read_manifest(sample_corpus)["categories"])


@pytest.mark.nightly
def test_a_worse_later_checkpoint_does_not_replace_the_best(
    sample_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiling(self: Any, model: Any, step: int) -> dict[str, float]:
        if self.best_step:
            for each in model.parameters():
                each.data.zero_()
        return real(self, model, step)

    real = BestCheckpoint.__call__
    monkeypatch.setattr(BestCheckpoint, "__call__", spoiling)
    pretrain(tmp_path / "e", PretrainSettings(corpus=(sample_corpus,), **(SMALL | {"epochs": 6})))
    facts = card(tmp_path / "e")
    assert facts["best_step"] == facts["log"][0]["step"]
    assert typed_f1(tmp_path / "e", sample_corpus) == pytest.approx(facts["log"][0]["typed_f1"])


def test_a_folder_is_a_backbone_and_two_runs_are_equal(sample_corpus: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    backbone = Path(shutil.copytree(tiny_encoder, tmp_path / "secret-place" / "backbone"))
    settings = PretrainSettings(corpus=(sample_corpus,), backbone=str(backbone), **(SMALL | {"epochs": 0.5}))
    for name in ("a", "b"):
        pretrain(tmp_path / name, settings)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("a", "b"))
    assert all(first[key].equal(second[key]) for key in first)
    assert card(tmp_path / "a")["settings"]["backbone"] == "backbone"
    for file in (tmp_path / "a").glob("*.json"):
        text = file.read_text()
        assert "secret-place" not in text, file
        assert str(sample_corpus.parent) not in text, file


@pytest.mark.parametrize("objective", ["tagging", "mlm"])
def test_fewer_layers_are_trained_and_saved(sample_corpus: Path, tmp_path: Path, objective: Any) -> None:
    deep = PretrainSettings(corpus=(sample_corpus,), **(SMALL | {"epochs": 0.2, "fresh_num_layers": 3}))
    write_fresh(deep, tmp_path / "deep")
    settings = replace(deep, backbone=str(tmp_path / "deep"), num_layers=2, num_frozen_layers=1, objective=objective)
    pretrain(tmp_path / "e", settings)
    model, old = (load_tagging_model(str(tmp_path / name), ["O"]).bert.encoder.layer for name in ("e", "deep"))
    assert (len(model), len(old)) == (2, 3)
    assert card(tmp_path / "e")["settings"]["num_layers"] == 2
    same = [one.output.dense.weight.equal(other.output.dense.weight) for one, other in zip(model, old, strict=False)]
    assert same == [True, False]
    with pytest.raises(SettingsError, match="num_layers = 4: the backbone has 3 layers"):
        pretrain(tmp_path / "x", replace(settings, num_layers=4))
    assert not (tmp_path / "x").exists()


def test_the_stage_writes_no_card_and_a_failing_hook_leaves_nothing(sample_corpus: Path, tmp_path: Path) -> None:
    settings, output = replace(PretrainSettings(corpus=(sample_corpus,), **SMALL), max_steps=1), tmp_path / "encoder"

    def hook(folder: Path, facts: stage.EncoderFacts) -> None:
        assert not output.exists()
        assert facts.card == card(folder)
        assert facts.manifests == [read_manifest(sample_corpus)]
        raise NerbertError("no card")

    with pytest.raises(NerbertError, match="no card"):
        stage.pretrain(settings, output, card=hook)
    assert not output.exists()
    stage.pretrain(settings, output)
    assert not (output / "README.md").exists()


def test_a_failing_run_leaves_nothing(sample_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any, **named: Any) -> Any:
        raise NerbertError("the loss became nan")

    monkeypatch.setattr(stage, "train", fail)
    with pytest.raises(NerbertError, match="nan"):
        pretrain(tmp_path / "e", PretrainSettings(corpus=(sample_corpus,), **SMALL))
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_is_said_before_training(sample_corpus: Path, encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputExists, match="exists already"):
        pretrain(encoder, PretrainSettings(corpus=(sample_corpus,), **SMALL))
    with pytest.raises(InputError, match="no such corpus"):
        pretrain(tmp_path / "e", PretrainSettings(corpus=(tmp_path / "none",), **SMALL))
    with pytest.raises(InputError, match="no such folder"):
        pretrain(tmp_path / "e", PretrainSettings(corpus=(sample_corpus,), backbone="./none", **SMALL))


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "types"), [("4types", {"ENTITY", "location", "organisation", "person"}), ("1type", {"ENTITY"})]
)
def test_another_label_set_on_the_same_sentences(
    sample_corpus: Path, tmp_path: Path, name: str, types: set[str]
) -> None:
    settings = PretrainSettings(corpus=(sample_corpus,), label_set=name, **(SMALL | {"epochs": 2}))
    pretrain(tmp_path / "e", settings)
    facts = card(tmp_path / "e")
    assert facts["label_set"]["name"] == name
    assert tags_of(load_tagging_model(str(tmp_path / "e")), "") == tag_names(types)
    assert facts["validation"]["span_f1"] == max(entry["span_f1"] for entry in facts["log"]) or name != "1type"


@pytest.mark.nightly
def test_the_control_without_labels_starts_from_the_same_body(sample_corpus: Path, tmp_path: Path) -> None:
    from transformers import pipeline

    settings = PretrainSettings(corpus=(sample_corpus,), objective="mlm", **(SMALL | {"epochs": 3}))
    log = pretrain(tmp_path / "mlm", settings)
    losses = [entry["mlm_loss"] for entry in log.entries]
    facts = card(tmp_path / "mlm")
    assert facts["objective"] == "mlm"
    assert losses[-1] < losses[0]
    assert facts["validation"]["mlm_loss"] == min(losses)
    tagging = pretrain(tmp_path / "tagging", replace(settings, objective="tagging"))
    assert (log.steps, log.tokens) == (tagging.steps, tagging.tokens)
    fill = pipeline("fill-mask", model=str(tmp_path / "mlm"), tokenizer=str(tmp_path / "mlm"))
    assert len(fill("The ship sailed to [MASK].")) == 5
    assert load_tagging_model(str(tmp_path / "mlm"), ["O", "B-x", "I-x"]).num_labels == 3


def test_log_card_and_checkpoints(encoder: Path) -> None:
    facts = card(encoder)
    lines = [json.loads(line) for line in (encoder / "log.jsonl").read_text().splitlines()]
    steps = [each["step"] for each in lines if each["kind"] == "train"]
    assert steps == list(range(1, steps[-1] + 1))
    scored = [{name: each[name] for name in each if name != "kind"} for each in lines if each["kind"] == "validation"]
    assert scored == facts["log"]
    assert f"{100 * facts['validation']['typed_f1']:.2f}" in (encoder / "README.md").read_text()
    assert not [path for path in encoder.iterdir() if path.name.startswith((".", "best", "step"))]


@pytest.mark.nightly
def test_a_run_goes_on_where_it_failed(
    sample_corpus: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that fails at each second evaluation, begun anew each time, gives the encoder of the one that didn't."""
    from safetensors.torch import load_file

    def failing(self: Any, model: Any, step: int) -> dict[str, float]:
        calls.append(step)
        if len(calls) == 3:
            raise NerbertError("the loss became nan")
        return real(self, model, step)

    real, calls = BestCheckpoint.__call__, list[int]()
    monkeypatch.setattr(BestCheckpoint, "__call__", failing)
    settings = PretrainSettings(corpus=(sample_corpus,), save_steps=7, **SMALL)
    with pytest.raises(NerbertError, match=r"nan; the last good checkpoint is .*step-00000") as failed:
        pretrain(tmp_path / "e", settings)
    checkpoint = Path(str(failed.value).rpartition(" is ")[2])
    assert tags_of(load_tagging_model(str(checkpoint)), "")
    with pytest.raises(StaleOutput, match=r"settings.learning_rate: 0.005 then, 0.001 now"):
        pretrain(tmp_path / "e", replace(settings, learning_rate=1e-3))
    pretrain(tmp_path / "e", replace(settings, max_tokens_per_batch=4096, save_total_limit=1))
    assert calls[3] == calls[2]
    ours, whole = (load_file(each / "model.safetensors") for each in (tmp_path / "e", encoder))
    assert ours.keys() == whole.keys()
    assert card(tmp_path / "e")["log"] == card(encoder)["log"]
    assert all(ours[name].equal(whole[name]) for name in ours)
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_a_dry_run_prints_its_figures_and_writes_nothing(
    sample_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = "fresh_num_layers = 1\nfresh_hidden_size = 64\nthreads = 1\n"
    (tmp_path / "s.toml").write_text(f'corpus = "{sample_corpus}"\n{small}')
    with suppress(SystemExit):  # newer versions of the command line's library end so
        main(["pretrain", str(tmp_path / "s.toml"), "-o", str(tmp_path / "e"), "--dry-run"])
    said = capsys.readouterr().out
    assert "validation" in said
    assert "peak memory" in said
    assert "without --dry-run" in said
    assert [path.name for path in tmp_path.iterdir()] == ["s.toml"]


def test_where_memory_runs_out_the_log_says_what_was_taken(
    sample_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def limited(self: TokenClassification, model: Any, batch: Any) -> Any:
        if batch.ids.numel() > 150:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes")
        return real(self, model, batch)

    real = TokenClassification.loss
    monkeypatch.setattr(TokenClassification, "loss", limited)
    pretrain(tmp_path / "e", PretrainSettings(corpus=(sample_corpus,), **(SMALL | {"max_steps": 4})))
    steps = [json.loads(line) for line in (tmp_path / "e" / "log.jsonl").read_text().splitlines()]
    taken = [each.get("max_tokens_per_batch", 8192) for each in steps if each["kind"] == "train"]
    assert min(taken) <= 150
    assert capsys.readouterr().err.count("memory ran out with max_tokens_per_batch = 8192: step cut to") == 1


@pytest.mark.parametrize("place", ["", "/inside", "/.."])
def test_an_output_in_or_around_the_corpus_is_refused(sample_corpus: Path, place: str) -> None:
    before = sorted(sample_corpus.rglob("*"))
    output = Path(f"{sample_corpus}{place}")
    with pytest.raises(OutputExists, match=r"lies in, or around, the corpus|not a folder that nerbert made"):
        pretrain(output, PretrainSettings(corpus=(sample_corpus,), **SMALL), overwrite=True)
    assert sorted(sample_corpus.rglob("*")) == before


def test_a_run_that_failed_before_a_checkpoint_stands_in_no_ones_way(
    sample_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **named: Any) -> dict[str, float]:
        raise NerbertError("the loss became nan")

    settings = PretrainSettings(corpus=(sample_corpus,), **(SMALL | {"epochs": 0.5}))
    with monkeypatch.context() as patch:
        patch.setattr("nerbert.training.loop.launch_step", broken)
        with pytest.raises(NerbertError, match="nan"):
            pretrain(tmp_path / "e", settings)
    pretrain(tmp_path / "e", replace(settings, learning_rate=1e-3))
    assert card(tmp_path / "e")["settings"]["learning_rate"] == 1e-3


def test_what_a_run_hangs_on_is_told_apart(sample_corpus: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    """A shard that changed under an old manifest, and a backbone with other dropout, are other runs."""
    corpus = Path(shutil.copytree(sample_corpus, tmp_path / "corpus"))
    manifest = json.loads((corpus / "manifest.json").read_text())
    del manifest["shard_sha256"]
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    backbone = Path(shutil.copytree(tiny_encoder, tmp_path / "backbone"))
    settings = PretrainSettings(corpus=(corpus,), backbone=str(backbone), **SMALL)
    first = prepare(settings, make_process_group(settings)).identity
    assert (
        prepare(replace(settings, max_tokens_per_batch=99, threads=0), make_process_group(settings)).identity == first
    )
    config = json.loads((backbone / "config.json").read_text())
    (backbone / "config.json").write_text(json.dumps(config | {"hidden_dropout_prob": 0.5}))
    second = prepare(settings, make_process_group(settings)).identity
    assert [name for name in first if first[name] != second[name]] == ["config"]
    (shard,) = corpus.glob("sentences/*.parquet")
    table = pq.read_table(shard)
    pq.write_table(table.take(list(reversed(range(table.num_rows)))), shard)
    third = prepare(settings, make_process_group(settings)).identity
    assert [name for name in second if second[name] != third[name]] == ["shards"]


def test_scoring_takes_no_larger_batches_than_training(
    sample_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def noted(windows: Any, numbers: Any, pad_id: int) -> Any:
        batch = padded(windows, numbers, pad_id)
        sizes.append(batch.ids.size)
        return batch

    monkeypatch.setattr("nerbert.model.linear.padded", noted)
    settings = PretrainSettings(corpus=(sample_corpus,), **(SMALL | {"epochs": 0.2, "batch_size": 2, "max_length": 48}))
    pretrain(tmp_path / "e", replace(settings, max_tokens_per_batch=10**9))
    assert len(sizes) > 5
    assert max(sizes) <= 2 * 48


def test_special_pieces_that_the_model_does_not_know_are_refused(
    sample_corpus: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    backbone = Path(shutil.copytree(tiny_encoder, tmp_path / "backbone"))
    tokenizer = load_tokenizer(str(backbone))
    tokenizer.add_special_tokens({"pad_token": "[NEW]"})
    tokenizer.save_pretrained(backbone)
    with pytest.raises(InputError, match="they don't belong together"):
        pretrain(tmp_path / "e", PretrainSettings(corpus=(sample_corpus,), backbone=str(backbone), **SMALL))


@pytest.mark.nightly
def test_two_processes_make_one_encoder(sample_corpus: Path, tmp_path: Path) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in (SMALL | {"epochs": 1}).items()]
    (tmp_path / "s.toml").write_text("\n".join([f'corpus = "{sample_corpus}"', *lines]))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "nerbert"]
    done = subprocess.run(
        [*torchrun, "pretrain", str(tmp_path / "s.toml"), "-o", str(tmp_path / "e")],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("encoder:") == 1
    facts = card(tmp_path / "e")
    assert facts["validation"]["typed_f1"] == pytest.approx(typed_f1(tmp_path / "e", sample_corpus), abs=1e-9)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e", "s.toml"]


def test_entities_that_the_tokenizer_hides_are_told_once(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[tuple[int, str]]()
    monkeypatch.setattr(
        stage, "tell_hidden_entities", lambda examples, _pieces, name: seen.append((len(examples), name))
    )
    settings = PretrainSettings(corpus=(few,), cache=str(tmp_path / "cache"), **SMALL)
    processes = make_process_group(settings)
    for processes.rank in (0, 1):
        prepare(settings, processes)
    (validation,) = [(len(list(read_sentences(few, "validation"))), str(few))]
    assert seen == [validation]
