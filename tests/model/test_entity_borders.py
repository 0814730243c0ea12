"""Entities that a tokenizer hides, counted; and that a tokenizer made for a corpus hides none."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nerbert.finetuning.finetune import finetune_examples
from nerbert.formats.documents import example_of_spans
from nerbert.model.backbone import load_tokenizer
from nerbert.model.entity_borders import EntityBorders, entity_borders
from nerbert.model.fresh import train_tokenizer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
from nerbert.training.settings import FinetuneSettings

SEOUL = [example_of_spans("나는 서울에서 왔다.", [(3, 5, "city")])]
BANGKOK = [example_of_spans("เขาไปกรุงเทพเมื่อวาน", [(5, 12, "city")])]
BEIJING = [example_of_spans("王小明在北京。", [(4, 6, "city")])]
OSLO = [example_of_spans("She left Oslo for Qx.", [(9, 13, "city"), (18, 20, "city")])]
CONFIG: Any = SimpleNamespace(model_type="bert", max_position_embeddings=512, vocab_size=0, name_or_path="")


def borders(examples: list[Example], tokenizer: Any, most: int = 64) -> EntityBorders:
    return entity_borders(examples, SubwordTokenizer(tokenizer, CONFIG, most))


def test_an_english_tokenizer_hides_entities_of_scripts_without_spaces() -> None:
    tokenizer = load_tokenizer("embedded")
    assert borders(SEOUL, tokenizer) == EntityBorders(1, hidden=1, unknown=1)
    assert borders(BANGKOK, tokenizer) == EntityBorders(1, hidden=1, unknown=1)
    assert borders(OSLO, tokenizer) == EntityBorders(2)


@pytest.mark.parametrize("examples", [SEOUL, BANGKOK, BEIJING, OSLO])
@pytest.mark.parametrize("most", [64, 6])
def test_a_tokenizer_of_the_corpus_hides_none(examples: list[Example], most: int) -> None:
    """Nor where a sentence lies in several windows."""
    texts = [each.text for each in examples] * 20
    assert borders(examples, train_tokenizer(texts, 300), most) == EntityBorders(len(examples[0].spans))


def test_a_word_that_ends_after_the_entity_hides_it() -> None:
    """Made of whole words, "서울에서" is one subword; the entity's end lies in it, then its begin."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0, "서울에서": 1, "북서울": 2, "서울": 3}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    for text, hidden in (("x 서울에서", 1), ("x 북서울", 1), ("x 서울 y", 0)):
        start = text.index("서울")
        found = borders([example_of_spans(text, [(start, start + 2, "city")])], tokenizer)
        assert found == EntityBorders(1, hidden=hidden)


def test_fine_tuning_warns_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    settings = FinetuneSettings(max_steps=1, min_steps=0, precision="fp32", threads=1)
    for _ in range(2):
        finetune_examples("embedded", BANGKOK, [], settings, name=str(tmp_path))
    said = capsys.readouterr().err
    assert said.count("100.00 % of entities begin or end inside a subword") == 1
    assert said.count("100.00 % of entities have only words that the tokenizer doesn't know") == 1
    finetune_examples("embedded", OSLO, [], settings, name=str(tmp_path))
    assert "warning" not in capsys.readouterr().err
