"""Tagging's scratch, its settings, and what its code hangs on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.evaluation.benchmark.draws import draw_part
from nerbert.evaluation.benchmark.hashes import TALKERS, code_files
from nerbert.evaluation.benchmark.plan import NO_FIGURES, UNUSED
from nerbert.evaluation.benchmark.predictions import CellSentences
from nerbert.evaluation.benchmark.tagging import tag_part, train_source
from nerbert.finetuning.finetune import usual_rate
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.conll import read_conll_file
from nerbert.tagger.tagger import Tagger

SETTINGS = FinetuneSettings(epochs=1, min_steps=0, batch_size=8, precision="fp32", threads=1)
CLOSURE = {
    "nerbert.rng", "nerbert.config", "nerbert.corpus", "nerbert.corpus.sentences", "nerbert.model",
    "nerbert.model.predict",
    "nerbert.model.backbone", "nerbert.model.forward", "nerbert.training.early_stopping", "nerbert.model.layers",
    "nerbert.training.objective", "nerbert.model.tokenizer",
    "nerbert.evaluation", "nerbert.evaluation.benchmark",
    "nerbert.evaluation.benchmark.predictions", "nerbert.evaluation.benchmark.tagging", "nerbert.finetuning",
    "nerbert.finetuning.finetune", "nerbert.finetuning.settings", "nerbert.formats", "nerbert.formats.conll",
    "nerbert.formats.folder", "nerbert.labels", "nerbert.records", "nerbert.tagger", "nerbert.tagger.backends",
    "nerbert.tagger.tagger", "nerbert.training", "nerbert.training.loop", "nerbert.model.windows",
    "nerbert.training.base_settings", "nerbert.training.distributed", "nerbert.words",
}  # fmt: skip
"""An edit of any of these trains every cell of every suite anew."""


def test_a_new_module_behind_every_training_is_there_on_purpose() -> None:
    """If this fails: does a tag hang on the new module? Name it here; if not, cut the import, or add to the lists."""
    found = set(code_files(["nerbert.evaluation.benchmark.tagging"], TALKERS | NO_FIGURES | UNUSED))
    assert found == CLOSURE


def test_tagging_of_sentences_does_not_run_what_is_left_out(
    tiny_tagger: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("not for sentences")

    for name in ("__init__", "spans"):
        monkeypatch.setattr(f"nerbert.corpus.sentences.rules.RuleSplitter.{name}", refuse)
    assert Tagger.load(tiny_tagger).tag_examples(part_of(data).test)
    with pytest.raises(AssertionError):
        Tagger.load(tiny_tagger).tag("Oslo.")


def part_of(data: Path) -> CellSentences:
    sentences = read_conll_file(data / "ships" / "train.conll")
    return draw_part(sentences, sentences[:3], "all", 1)


@pytest.mark.parametrize("name", ["tagger", "log.txt", "data", "seconds.json"])
def test_a_data_set_may_have_any_name(data: Path, tiny_encoder: Path, tmp_path: Path, name: str) -> None:
    part = part_of(data)
    for number, scratch in enumerate((tmp_path / "a", tmp_path / "b")):
        scratch.mkdir()
        (scratch / "log.txt").touch()
        if number:
            assert train_source(str(tiny_encoder), part.train, name, SETTINGS, scratch).is_dir()
        else:
            assert len(tag_part(str(tiny_encoder), part, (), name, SETTINGS, scratch).tags) == 3


def test_the_settings_that_were_used_are_told(data: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig

    found = tag_part(str(tiny_encoder), part_of(data), (), "ships", SETTINGS, tmp_path / "scratch")
    rate = usual_rate(AutoConfig.from_pretrained(tiny_encoder))
    assert found.facts["settings"]["learning_rate"] == rate > 0 == SETTINGS.learning_rate
    assert found.facts["settings"]["batch_size"] == 8


def test_the_protocols_precision_tags(
    data: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, load = [], Tagger.load

    def spy(folder: Path, **more: Any) -> Tagger:
        asked.append(more)
        return load(folder, **more)

    monkeypatch.setattr(Tagger, "load", spy)
    for precision in ("fp32", "bf16"):
        settings = replace(SETTINGS, precision=precision)
        tag_part(str(tiny_encoder), part_of(data), (), "ships", settings, tmp_path / precision)
    plain = {"backend": "torch", "decoding": "greedy"}
    assert asked == [plain | {"precision": "fp32"}, plain | {"precision": "bf16"}]


def test_a_failure_names_no_data_set(tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.conll").write_text("Oslo\tO\n")
    sentences = read_conll_file(tmp_path / "plain.conll")
    part = CellSentences(sentences, sentences, True, {})
    with pytest.raises(InputError, match=r"^no training sentence has an entity"):
        tag_part(str(tiny_encoder), part, (), "ships", SETTINGS, tmp_path / "scratch")
