"""A training's scratch folder, its settings, and what a failure says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.evaluation.benchmark.cells import CellSentences
from nerbert.evaluation.benchmark.inputs import draw_part
from nerbert.evaluation.benchmark.steps import tag_part, train_source
from nerbert.finetuning.finetune import usual_rate
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.examples import read_examples
from nerbert.tagger.tagger import Tagger

SETTINGS = FinetuneSettings(epochs=1, min_steps=0, batch_size=8, precision="fp32", threads=1)


def part_of(data: Path) -> CellSentences:
    sentences = read_examples(data / "ships" / "train.conll")
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
            assert len(tag_part(str(tiny_encoder), part, name, SETTINGS, scratch).tags) == 3


def test_the_settings_that_were_used_are_told(data: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig

    found = tag_part(str(tiny_encoder), part_of(data), "ships", SETTINGS, tmp_path / "scratch")
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
        tag_part(str(tiny_encoder), part_of(data), "ships", settings, tmp_path / precision)
    plain = {"backend": "torch", "decoding": "greedy", "head": "linear"}
    assert asked == [plain | {"precision": "fp32"}, plain | {"precision": "bf16"}]


def test_a_failure_names_no_data_set(tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.conll").write_text("Oslo\tO\n")
    sentences = read_examples(tmp_path / "plain.conll")
    part = CellSentences(sentences, sentences, {})
    with pytest.raises(InputError, match=r"^no training sentence has an entity"):
        tag_part(str(tiny_encoder), part, "ships", SETTINGS, tmp_path / "scratch")
