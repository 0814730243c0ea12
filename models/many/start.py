"""Make the folder that training starts from: multilingual-e5-small with fewer subwords, and its states centred.

`python start.py ME5 FOLDER TEXTS…` needs `wordfreq`; texts are files of open types. Kept are all single characters; the
subwords that occur twice in the texts; and those of each language's words, the most frequent first, up to one share of
what is written, the same in all languages. Text is cut at words before, so Chinese, Japanese, Korean and Thai need
single characters alone.

All states of me5 point one way: their products with names are 16 ± 0.7, so a training that compares them by products
first unlearns that (a loss of 300, not 6). The last layer's norm takes the mean away, and makes the rest as large as
all-MiniLM-L6-v2's.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from pathlib import Path
from typing import Any

import torch
import wordfreq
from tokenizers import Tokenizer
from transformers import AutoModel, PreTrainedTokenizerFast

from nerbert.formats.json_files import values_of_file
from nerbert.model.backbone import load_tokenizer, save_model
from nerbert.model.tokenizer import cut_at_words
from nerbert.rng import uniform

SIZE = 132_000
"""Subwords that are kept at most."""
WORDS = 100_000
"""Words of a language that are counted."""
LEAST = 2
"""Occurrences in the texts from which on a subword is kept."""
SCALE, SAMPLE = 2.5, 300
"""What centred states are multiplied by, and the texts, and names of types, whose mean is taken."""
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
    _save(encoder, tokenizer, sorted(kept), Path(folder), texts)


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


def _centre(model: Any, tokenizer: Any, paths: Sequence[str]) -> None:
    """Subtract the mean state of texts and of names from all states, and scale them."""
    rows = [row for path in paths for _, row in values_of_file(Path(path))]
    rows = nsmallest(SAMPLE, rows, key=lambda row: uniform(1, "mean state", row["text"]))
    names = sorted({name for row in rows for name in row["asked"]})[:SAMPLE]
    means = [
        torch.cat([_states(model, tokenizer, text) for text in texts]).mean(0)
        for texts in ([row["text"] for row in rows], names)
    ]
    norm = model.encoder.layer[-1].output.LayerNorm
    norm.bias.data = (norm.bias.data - sum(means) / len(means)) * SCALE
    norm.weight.data *= SCALE


def _states(model: Any, tokenizer: Any, text: str) -> torch.Tensor:
    cut = tokenizer(text, return_tensors="pt", truncation=True, max_length=128)
    with torch.inference_mode():
        return model.eval()(cut["input_ids"], attention_mask=cut["attention_mask"]).last_hidden_state[0]


def _save(encoder: str, tokenizer: Any, kept: list[int], folder: Path, texts: Sequence[str]) -> None:
    """Write the encoder with the kept subwords alone; their numbers are their places among these."""
    rules, places = json.loads(tokenizer.backend_tokenizer.to_str()), {old: new for new, old in enumerate(kept)}
    rules["model"]["vocab"] = [rules["model"]["vocab"][number] for number in kept]
    for special in rules["added_tokens"]:
        special["id"] = places[special["id"]]
    own = Tokenizer.from_str(json.dumps(rules))
    named = tokenizer.special_tokens_map
    smaller = PreTrainedTokenizerFast(tokenizer_object=own, model_max_length=tokenizer.model_max_length, **named)
    model = AutoModel.from_pretrained(encoder, add_pooling_layer=False)
    _centre(model, tokenizer, texts)
    rows = model.get_input_embeddings().weight.data[torch.tensor(kept)].clone()
    model.resize_token_embeddings(len(kept), mean_resizing=False)
    model.get_input_embeddings().weight.data = rows
    folder.mkdir(parents=True)
    save_model(folder, model, smaller)


if __name__ == "__main__":
    main(*sys.argv[1:])
