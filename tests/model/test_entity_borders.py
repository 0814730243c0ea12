"""Entities that a tokenizer hides, counted; and that a tokenizer made for a corpus hides none."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.train_tagger import finetune_examples
from nerbert.formats.documents import example_of_spans
from nerbert.model.backbone import load_tokenizer
from nerbert.model.fresh import train_tokenizer
from nerbert.model.tokenizer import EntityBorders, SubwordTokenizer, entity_borders, tell_hidden_entities
from nerbert.records import Example

SEOUL = [example_of_spans("나는 서울에서 왔다.", [(3, 5, "city")])]
BANGKOK = [example_of_spans("เขาไปกรุงเทพเมื่อวาน", [(5, 12, "city")])]
BEIJING = [example_of_spans("王小明在北京。", [(4, 6, "city")])]
OSLO = [example_of_spans("She left Oslo for Qx.", [(9, 13, "city"), (18, 20, "city")])]
ONE_STEP = FinetuneSettings(max_steps=1, min_steps=0, precision="fp32", threads=1)
CONFIG: Any = SimpleNamespace(model_type="bert", max_position_embeddings=512, vocab_size=0, name_or_path="")


def borders(examples: list[Example], tokenizer: Any, most: int = 64) -> EntityBorders:
    return entity_borders(examples, SubwordTokenizer(tokenizer, CONFIG, most))


@pytest.mark.parametrize(
    ("examples", "found"),
    [(SEOUL, EntityBorders(1, hidden=1, unknown=1)), (BANGKOK, EntityBorders(1, hidden=1, unknown=1)),
     (OSLO, EntityBorders(2))],
)  # fmt: skip
def test_an_english_tokenizer_hides_entities_of_scripts_without_spaces(
    examples: list[Example], found: EntityBorders
) -> None:
    assert borders(examples, load_tokenizer("embedded")) == found


@pytest.mark.parametrize("examples", [SEOUL, BANGKOK, BEIJING, OSLO])
@pytest.mark.parametrize("most", [64, 6])
def test_a_tokenizer_of_the_corpus_hides_none(examples: list[Example], most: int) -> None:
    """Nor where a sentence lies in several windows."""
    texts = [each.text for each in examples] * 20
    assert borders(examples, train_tokenizer(texts, 300), most) == EntityBorders(len(examples[0].spans))


def test_a_word_that_ends_after_the_entity_hides_it() -> None:
    """Made of whole words, "서울에서" is one subword; the entity's end lies in it, then its begin."""
    tokenizer = _by_white_space("서울에서", "북서울", "서울")
    for text, hidden in (("x 서울에서", 1), ("x 북서울", 1), ("x 서울 y", 0)):
        start = text.index("서울")
        found = borders([example_of_spans(text, [(start, start + 2, "city")])], tokenizer)
        assert found == EntityBorders(1, hidden=hidden)


@pytest.mark.parametrize(
    ("text", "entity", "found"),
    [
        ("x Berlin-based y", "Berlin", EntityBorders(1, hidden=1, unknown=1)),
        ("x C++ y", "C++", EntityBorders(1, hidden=1, unknown=1)),
        ("x Q - Z y", "Q - Z", EntityBorders(1, unknown=1)),
        ("x Q known y", "Q known", EntityBorders(1)),
        ("x y", "x", EntityBorders(1, unknown=1)),
    ],
)
def test_punctuation_inside_a_subword_hides_an_entity(text: str, entity: str, found: EntityBorders) -> None:
    """No answer is read off for it, so it stays outside."""
    assert borders([example_of_spans(text, [_place(text, entity)])], _by_white_space("known")) == found


@pytest.mark.parametrize(("others", "warns"), [(19, True), (20, False)])
def test_one_entity_in_twenty_is_told(others: int, warns: bool, capsys: pytest.CaptureFixture[str]) -> None:
    pieces = SubwordTokenizer(_by_white_space("Oslo"), CONFIG, 64)
    hidden, plain = example_of_spans("Oslo x-y", [(5, 6, "a")]), example_of_spans("Oslo", [(0, 4, "a")])
    tell_hidden_entities([hidden, *[plain] * others], pieces, f"with {others}")
    assert ("5.00 % of entities begin or end inside a subword" in capsys.readouterr().err) == warns


def _by_white_space(*words: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = Tokenizer(models.WordLevel({"[UNK]": 0} | {word: number for number, word in enumerate(words, 1)}, "[UNK]"))
    known.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=known, unk_token="[UNK]")


def _place(text: str, entity: str) -> tuple[int, int, str]:
    return text.index(entity), text.index(entity) + len(entity), "x"


def test_fine_tuning_warns_once_and_not_where_words_are_read(
    tiny_gliner: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for _ in range(2):
        finetune_examples("embedded", BANGKOK, [], ONE_STEP, name=str(tmp_path))
    said = capsys.readouterr().err
    assert said.count("100.00 % of entities begin or end inside a subword") == 1
    assert said.count("100.00 % of entities have only words that the tokenizer doesn't know") == 1
    for encoder, examples in (("embedded", OSLO), (str(tiny_gliner), SEOUL)):
        finetune_examples(encoder, examples, [], ONE_STEP, name=str(tmp_path))
        assert "warning" not in capsys.readouterr().err
