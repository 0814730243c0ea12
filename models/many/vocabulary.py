"""Cut the vocabulary of multilingual-e5-small to what languages need: a folder that `pretrain` starts from.

`python vocabulary.py ME5 FOLDER TEXTS…` needs `wordfreq`. Kept are all single characters; the subwords that occur twice
in the texts (JSON lines); and those of each language's words, the most frequent first, up to one share of what is
written, the same in all languages. Text is cut at words before, so Chinese, Japanese, Korean and Thai need single
characters alone.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import wordfreq
from tokenizers import Tokenizer
from transformers import AutoModel, PreTrainedTokenizerFast

from nerbert.formats.json_files import values_of_file
from nerbert.model.backbone import load_tokenizer, save_model
from nerbert.model.tokenizer import cut_at_words

SIZE = 132_000
"""Subwords that are kept at most."""
WORDS = 100_000
"""Words of a language that are counted."""
LEAST = 2
"""Occurrences in the texts from which on a subword is kept."""
SPACE = "▁"


def main(encoder: str, folder: str, *texts: str) -> None:
    """Write the folder; print how many subwords are kept, and the share."""
    tokenizer = cut_at_words(load_tokenizer(encoder))
    always = {number for piece, number in tokenizer.get_vocab().items() if len(piece.removeprefix(SPACE)) <= 1}
    always.update(tokenizer.all_special_ids)
    counts = Counter(number for numbers in _cut(tokenizer, _texts(texts)) for number in numbers)
    always.update(number for number, count in counts.items() if count >= LEAST)
    languages = [_count(tokenizer, language) for language in sorted(wordfreq.available_languages("best"))]
    kept, low, high = always, 0.0, 1.0
    while high - low > 1e-4:
        share = (low + high) / 2
        chosen = always.union(*(_cover(counts, share) for counts in languages))
        if len(chosen) <= SIZE:
            kept, low = chosen, share
        else:
            high = share
    print(f"{len(always)} single or of the texts; {len(kept)} kept: {low:.2%} of each language")
    _save(encoder, tokenizer, sorted(kept), Path(folder))


def _count(tokenizer: Any, language: str) -> Counter[int]:
    """Return the frequencies of the subwords of a language's words, also with a capital."""
    frequencies = dict(list(wordfreq.get_frequency_dict(language, "best").items())[:WORDS])
    counts = Counter[int]()
    for change in (str, str.capitalize):
        for frequency, numbers in zip(frequencies.values(), _cut(tokenizer, map(change, frequencies)), strict=True):
            for number in numbers:
                counts[number] += frequency
    return counts


def _cover(counts: Counter[int], share: float) -> Iterator[int]:
    """Yield the most frequent subwords that make up a share of all."""
    covered, total = 0.0, sum(counts.values())
    for number, frequency in counts.most_common():
        if covered >= share * total:
            return
        covered += frequency
        yield number


def _cut(tokenizer: Any, texts: Iterable[str]) -> list[list[int]]:
    return tokenizer(list(texts), add_special_tokens=False)["input_ids"]


def _texts(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        for _, row in values_of_file(Path(path)):
            yield row["text"]


def _save(encoder: str, tokenizer: Any, kept: list[int], folder: Path) -> None:
    """Write the encoder with the kept subwords alone; their numbers are their places among these."""
    rules, places = json.loads(tokenizer.backend_tokenizer.to_str()), {old: new for new, old in enumerate(kept)}
    rules["model"]["vocab"] = [rules["model"]["vocab"][number] for number in kept]
    for special in rules["added_tokens"]:
        special["id"] = places[special["id"]]
    own = Tokenizer.from_str(json.dumps(rules))
    named = tokenizer.special_tokens_map
    smaller = PreTrainedTokenizerFast(tokenizer_object=own, model_max_length=tokenizer.model_max_length, **named)
    model = AutoModel.from_pretrained(encoder, add_pooling_layer=False)
    rows = model.get_input_embeddings().weight.data[torch.tensor(kept)].clone()
    model.resize_token_embeddings(len(kept), mean_resizing=False)
    model.get_input_embeddings().weight.data = rows
    folder.mkdir(parents=True)
    save_model(folder, model, smaller)


if __name__ == "__main__":
    main(*sys.argv[1:])
