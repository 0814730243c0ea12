"""The model card of an encoder: `README.md` in its folder, with the front matter of the Hugging Face hub.

Every figure in it comes from `nerbert.json` or from the corpus's manifest. The licence of a backbone isn't known here,
so the card says `other` until somebody who knows sets the right one.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert import render
from nerbert.encoder.settings import PretrainSettings
from nerbert.model.backbone import EMBEDDED
from nerbert.render.escape import Markdown, code, escaped
from nerbert.render.values import changed_settings, dict_of, dicts_of
from nerbert.terminal import percent
from nerbert.training.base_settings import TrainSettings

if TYPE_CHECKING:
    from nerbert.encoder.pretrain import EncoderFacts

Card = Mapping[str, Any]
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
"""An owner and a model on the hub."""
_LOG_NAMES = ("step", "epoch", "loss")
_SHOWN = 50
"""Evaluations that the card shows, the last ones; all are in nerbert.json."""


def write_card(folder: Path, facts: "EncoderFacts") -> None:
    """Write the model card into an encoder's folder."""
    render.write(folder / "README.md", "encoder_card.md.j2", **_facts(facts.card, facts.manifest))


def model_card(card: Card, manifest: Mapping[str, Any]) -> str:
    """Return the card: `card` is what `nerbert.json` holds, `manifest` that of the corpus it was trained on."""
    return render.render("encoder_card.md.j2", **_facts(card, manifest))


def _facts(card: Card, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template shows."""
    backbone, label_set = str(dict_of(card, "settings").get("backbone", "")), dict_of(card, "label_set")
    described, step = dict_of(card, "description"), card.get("best_step")
    meanings, task = dict_of(described, "figures"), str(described.get("pipeline", ""))
    counts = [label_set.get(name) for name in ("typed_mentions", "made_entity")]
    typed, untyped = (each if isinstance(each, int) else 0 for each in counts)
    log = [_figures(each) for each in dicts_of(card, "log")][-_SHOWN:]
    names = [*_LOG_NAMES, *sorted({name for each in log for name in each} - {*_LOG_NAMES})] if log else []
    return {
        "pretrained": True, "task": task, "chooses": str(described.get("chooses", "")),
        "learnt": str(described.get("learnt") or card.get("objective")),
        "backbone": backbone, "is_embedded": backbone in EMBEDDED,
        "base_model": backbone if HUB_NAME.fullmatch(backbone) else "", "licence": card.get("licence"),
        "language": str(card.get("language", "")), "made_by": card.get("made_by", "nerbert"),
        "wiki": manifest["wiki"], "corpus_made_by": manifest.get("made_by"),
        "manifest_sha256": dict_of(card, "corpus").get("manifest_sha256"),
        "corpus_licence": manifest.get("licence") or "not known",
        "label_set": label_set.get("name", ""), "categories": _categories(card, manifest),
        "best_step": step if isinstance(step, int) else 0, "typed": typed, "untyped": untyped,
        "splits": [(code(name), *(counts.get(key) for key in ("sentences", "words", "mentions", "copies")))
                   for name, counts in manifest["splits"].items()],
        "sources": _sources(manifest),
        "best": [(code(name), _figure(name, value), str(meanings.get(name, "")))
                 for name, value in _figures(card.get("validation")).items()],
        "log_heads": [name if name in _LOG_NAMES else code(name) for name in names],
        "log": [[_figure(name, each[name]) if name in each else None for name in names] for each in log],
        "excluded": [each.get("file") for each in dicts_of(manifest, "excluded")],
        **settings_facts(card, PretrainSettings),
    }  # fmt: skip


def _categories(card: Card, manifest: Mapping[str, Any]) -> int:
    """Return the number of categories; 0 where it isn't known."""
    if isinstance(count := card.get("categories"), int):
        return count
    same = dict_of(card, "label_set").get("sha256") == dict_of(manifest, "label_set").get("sha256")
    return len(manifest["categories"]) if same else 0


def _sources(manifest: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return each file that the corpus was made from: name, what it gave, SHA-256."""
    texts = [(code(each.get("file")), "text and links", code(each.get("sha256") or each.get("sha256_of_parts")))
             for each in dicts_of(manifest, "inputs")]  # fmt: skip
    types = [(code(each.get("path")), Markdown(f"types ({escaped(each.get('kind'))})"), code(each.get("sha256")))
             for each in dicts_of(manifest["knowledge"], "used")]  # fmt: skip
    return [*texts, *types]


def settings_facts(card: Card, kind: type[TrainSettings]) -> dict[str, Any]:
    """Return a training's precision and settings as rows: those that aren't the defaults of their kind, and all."""
    settings = dict_of(card, "settings")
    usual = {each.name: each.default for each in fields(kind) if each.default is not MISSING}
    rows = {name: (code(name), code(f'"{value}"' if isinstance(value, str) else repr(value)))
            for name, value in settings.items()}  # fmt: skip
    changed = [rows[name] for name in changed_settings(settings, usual)]
    precision = code(card["precision"]) if card.get("precision") else "the precision of its device"
    return {"precision": precision, "changed": changed, "settings": list(rows.values())}


def _figures(value: object) -> dict[str, float]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {str(name): each for name, each in pairs if isinstance(each, int | float) and not isinstance(each, bool)}


def _figure(name: str, value: float) -> str:
    if name in ("step", "epoch"):
        return f"{value:,.0f}" if name == "step" else f"{value:.2f}"
    return f"{value:.4f}" if "loss" in name else percent(value)
