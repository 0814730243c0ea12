"""Tokenizers that are trained on a corpus."""

import subprocess
import sys
from pathlib import Path
from unicodedata import category

import pytest
import torch

from nerbert.errors import SettingsError
from nerbert.model.surgery import copy_head, train_tokenizer
from nerbert.words import split_words
from tests.raised import raises

TEXTS = [
    "The brig Margarethe sailed from Tromsø to Bergen.",
    "Öland, Ærø and Åland are islands; 1911 saw them all.",
] * 5
CHILD = """
import hashlib
from pathlib import Path
from nerbert.model.surgery import train_tokenizer
texts = Path({path!r}).read_text().splitlines()
print(hashlib.sha256(train_tokenizer(texts, 900).backend_tokenizer.to_str().encode()).hexdigest())
"""


@pytest.mark.nightly
def test_the_same_texts_give_the_same_pieces_in_every_process(sample: Path) -> None:
    command, digests = [sys.executable, "-c", CHILD.format(path=str(sample / "wiki.xml"))], set()
    for _ in range(2):
        digests.add(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    assert len(digests) == 1


@pytest.mark.parametrize("vocabulary", [100, 150, 400])
def test_a_vocabulary_is_no_larger_than_asked_for(sample: Path, vocabulary: int) -> None:
    texts = (sample / "wiki.xml").read_text().splitlines()
    assert len(train_tokenizer(texts, vocabulary)) <= vocabulary


def test_words_are_put_together_from_their_pieces() -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    assert tokenizer.decode(tokenizer("Margarethe sailed to Öland")["input_ids"], skip_special_tokens=True) == (
        "Margarethe sailed to Öland"
    )
    assert tokenizer.tokenize("[MASK] Tromsøland ☃")[0] == "[MASK]"
    assert tokenizer.tokenize("☃") == ["[UNK]"]
    assert all(piece.startswith("##") for piece in tokenizer.tokenize("Tromsøland")[1:])


def tagger_of(kind: str, labels: int, seed: int) -> torch.nn.Module:
    import transformers

    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=40,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
        pad_token_id=0,
        num_labels=labels,
    )
    model: torch.nn.Module = getattr(transformers, f"{kind}ForTokenClassification")(config)
    torch.nn.init.normal_(model.classifier.bias)  # type: ignore[arg-type,union-attr]
    return model


@pytest.mark.parametrize(("kind", "whole"), [("Bert", []), ("ModernBert", ["head.dense.weight", "head.norm.weight"])])
def test_rows_of_a_head_are_copied_and_nothing_else_of_the_model_is(kind: str, whole: list[str]) -> None:
    model, other = tagger_of(kind, 5, 1), tagger_of(kind, 3, 2)
    before, theirs = ({name: each.clone() for name, each in m.state_dict().items()} for m in (model, other))
    copy_head(model, other, {0: 0, 3: 1, 1: 2})
    after = model.state_dict()
    changed = {name for name in after if not after[name].equal(before[name])}
    assert changed <= {"classifier.weight", "classifier.bias", *whole}
    assert changed >= {"classifier.weight", "classifier.bias"}
    assert all(after[name].equal(theirs[name]) for name in whole)
    for name in ("classifier.weight", "classifier.bias"):
        wanted = [theirs[name][0], theirs[name][2], before[name][2], theirs[name][1], before[name][4]]
        assert after[name].equal(torch.stack(wanted))
    assert all(each.equal(theirs[name]) for name, each in other.state_dict().items())


def test_a_head_without_a_layer_over_labels_is_refused() -> None:
    model = tagger_of("Bert", 5, 1)
    model.classifier = torch.nn.Identity()
    with raises(SettingsError, "no linear layer over labels", setting="source_head"):
        copy_head(model, tagger_of("Bert", 5, 2), {0: 0})


def test_chinese_has_as_many_characters_as_it_needs() -> None:
    """Where a thousand are too few: all but one of 3,000 are known, or three quarters of the vocabulary."""
    texts = ["".join(chr(0x4E00 + number) for number in range(3000))]
    for vocabulary, characters in ((8000, 2999), (2005, 1500)):
        pieces = train_tokenizer(texts, vocabulary).get_vocab()
        assert len([piece for piece in pieces if "\u4e00" <= piece[0] <= "\u9fff"]) == characters


def test_no_subword_holds_two_words() -> None:
    """Whatever characters there are but invisible ones, and marks stay with what they stand on."""
    letters = [char for char in map(chr, [*range(0x3000), *range(0x3000, 0x32000, 7)]) if category(char)[0] in "LMNPS"]
    text = " ".join(f"a{char}b{char}{char} {char}" for char in letters) + " ก็abc 100€ ©Disney"
    pieces = train_tokenizer(["a"], 100).backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
    places = {place for _, span in pieces for place in span}
    assert not [text[start:end] for start, end in split_words(text) if start not in places or end not in places]
    assert "ก็" in [piece for piece, _ in pieces]
