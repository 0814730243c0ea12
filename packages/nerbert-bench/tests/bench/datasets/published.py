"""Published forms made back from nerbert's: what a publisher's file must have looked like, from the converted ones."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from nerbert.data.catalogue import Recipe
from nerbert.labels import spans_from_bio
from nerbert_bench.datasets.fetch import EMPTY, Sentence, conll_text


def read_splits(folder: Path) -> dict[str, list[Sentence]]:
    """The converted splits, by the plainest of readers."""
    return {split: list(_sentences(folder / f"{split}.conll")) for split in ("train", "dev", "test")}


def _sentences(path: Path) -> Iterator[Sentence]:
    for block in path.read_text(encoding="utf-8").removesuffix("\n\n").split("\n\n"):
        yield [(token, tag) for token, tag in (line.split("\t") for line in block.split("\n"))]


def undraw(splits: dict[str, list[Sentence]], recipe: Recipe) -> dict[str, list[Sentence]]:
    """Put drawn sentences back between those that were left; the rest of the splits stays."""
    parts = {split: iter(splits[split]) for split in ("train", *recipe.draws)}
    places = list(range(sum(len(splits[split]) for split in parts)))
    random.Random(0).shuffle(places)
    owner = dict.fromkeys(places, "train")
    for split, size in recipe.draws.items():
        for place in places[:size]:
            owner[place] = split
        places = places[size:]
    whole = [next(parts[owner[place]]) for place in range(len(owner))]
    return {split: whole if split == "train" else splits[split] for split in recipe.paths}


def unconvert(sentences: Iterable[Sentence], scheme: str) -> list[Sentence]:
    """Tags in another scheme than IOB2."""
    return [[(token, tag) for (token, _), tag in zip(each, _tags(each, scheme), strict=True)] for each in sentences]


def _tags(sentence: Sentence, scheme: str) -> list[str]:
    tags = [tag for _, tag in sentence]
    if scheme in ("iob1", "io"):
        bare = [tag[2:] for tag in tags]
        return [f"I-{type_}" if type_ and scheme == "iob1" else type_ or "O" for type_ in bare]
    if scheme == "bioes":
        for start, end, type_ in spans_from_bio(tags):
            tags[end - 1] = f"{'S' if end - start == 1 else 'E'}-{type_}"
    return tags


def spaced(sentences: Iterable[Sentence], columns: str = "") -> str:
    """Token and tag with a space between them, or with other columns."""
    return conll_text(sentences).replace("\t", f" {columns}")


def pairs(sentences: Iterable[Sentence]) -> str:
    """A sentence a line."""
    return "".join(" ".join(f"{token}:{tag}" for token, tag in each) + " <=> <NULL>\n" for each in sentences)


def published(name: str, sentences: list[Sentence], scheme: str) -> str:
    """A file in the form in which its publisher has it; lines that hold no token are made up."""
    sentences = unconvert(sentences, scheme)
    text = conll_text(sentences)
    blocks = [conll_text([each]) for each in sentences]
    return {
        "mit_movie": lambda: pairs(sentences),
        "ecommerce_zh": lambda: text.replace(EMPTY, " "),
        "defense_re3d": lambda: f"\n{text[:-1]}",
        "wikigold": lambda: "-DOCSTART- O\n\n" * 145 + spaced(sentences),
        "finance_sec": lambda: "-DOCSTART- -X- O O\n\n" * 5 + spaced(sentences, "NN - "),
        "twitter2017": lambda: "".join(f"IMGID:17_06_1\n{each}" for each in blocks),
        "harveyner": lambda: "".join(f"-DOCSTART- O\n{each}" for each in blocks).replace("\t", " "),
    }.get(name, lambda: text)()
