"""Tokenizers that are trained on a corpus."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nerbert.model.fresh import train_tokenizer

TEXTS = [
    "The brig Margarethe sailed from Tromsø to Bergen.",
    "Öland, Ærø and Åland are islands; 1911 saw them all.",
] * 5
CHILD = """
import hashlib
from pathlib import Path
from nerbert.model.fresh import train_tokenizer
texts = Path({path!r}).read_text().splitlines()
print(hashlib.sha256(train_tokenizer(texts, 900).backend_tokenizer.to_str().encode()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.integration
def test_the_same_texts_give_the_same_pieces_in_every_process(sample: Path) -> None:
    path = sample / "wiki.xml"
    texts = path.read_text().splitlines()
    digests = {hashlib.sha256(train_tokenizer(texts, 900).backend_tokenizer.to_str().encode()).hexdigest()}
    for _ in range(2):
        command = [sys.executable, "-c", CHILD.format(path=str(path))]
        digests.add(subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout.strip())
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
