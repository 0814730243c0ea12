"""Model cards of encoders and taggers, `README.md` in their folders: every figure comes from `nerbert.json`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.data.splits import split_of
from nerbert.encoder.settings import PretrainSettings
from nerbert.hub import is_hub_name
from nerbert.model.folder import EMBEDDED, TaggerFacts
from nerbert.render import LOG_NAMES, Facts, Markdown, changed_settings, code, facts_of, log_figure, render, write
from nerbert.tagger.self_check import add_check
from nerbert.training.settings import flat_settings

if TYPE_CHECKING:
    from nerbert.encoder.pretrain import EncoderFacts

Card = Mapping[str, Any]
_SHOWN = 50
"""Maximum evaluations on an encoder's card, the last ones; nerbert.json has all."""


def write_encoder_card(folder: Path, facts: "EncoderFacts") -> None:
    """Write the model card into an encoder's folder."""
    write(folder / "README.md", encoder_card(facts.card, *facts.manifests))


def encoder_card(card: Card, *manifests: Mapping[str, Any]) -> str:
    """Return the card's text; `card` is the content of `nerbert.json`, `manifests` are the training corpora's."""
    facts = facts_of(card)
    log = list(facts["log"])[-_SHOWN:]
    names = [*LOG_NAMES, *sorted(set().union(*log).difference(LOG_NAMES))] if log else []
    return render(
        "encoder_card.md.j2",
        **_shared_facts(card, str(facts["settings"]["backbone"] or "")),
        manifests=list(map(facts_of, manifests)),
        task=facts["description"]["pipeline"] or "",
        figure=log_figure,
        log_heads=[name if name in LOG_NAMES else code(name) for name in names],
        log=[[log_figure(name, entry[name]) for name in names] for entry in log],
    )


def write_tagger_card(folder: Path, facts: TaggerFacts) -> bool:
    """Write a tagger's model card unless it was edited by hand, by `facts.before`; return whether it was written."""
    path = folder / "README.md"
    text = tagger_card(facts.card)
    # A card is nerbert's if it equals the one for the facts before or after the change.
    ours = (text, tagger_card(facts.before)) if facts.before is not None else ()
    if ours and path.exists() and _body(path.read_bytes()) not in [_body(card.encode()) for card in ours]:
        return False
    write(path, text)
    return True


finish_tagger = add_check(write_tagger_card)
"""Writes a new tagger's model card and self-check."""


def _body(text: bytes) -> bytes:
    """Return a model card without its front matter, which differs between versions."""
    return text.partition(b"\n---\n")[2]


def tagger_card(card: Card) -> str:
    """Return the card's text; `card` is the content of `nerbert.json`."""
    facts = facts_of(card)
    shared = _shared_facts(card, str(facts["encoder"]["name"] or ""))
    return render("tagger_card.md.j2", **shared, task="token-classification", files=list(_data_files(facts)))


def chosen_settings(card: Card) -> dict[str, Any]:
    """Return the settings of a model's training that aren't the defaults."""
    values = flat_settings(card.get("settings") or {})
    return {name: values[name] for name in _changed_names(card) if name in values and values[name] not in ([], "")}


def threshold_origin(card: Card, shown: Callable[[object], str] = str) -> str:
    """Return the origin of a threshold for labels at run time, in words; `shown` escapes a file's name."""
    # Only models that take labels at run time have a threshold.
    if card.get("threshold") is None:
        return ""
    fitted = card.get("calibration") or {}
    # A calibration is newer than the training, so its threshold is the one in use.
    if fitted.get("threshold_f1") is not None:
        return f"the best on {shown((fitted.get('data') or {}).get('name') or 'annotated sentences')}"
    if card.get("kind") == "tagger":
        return "that of the model it was fine-tuned from"
    return "the best on the held-out texts of its training"


def _changed_names(card: Card) -> Sequence[str]:
    """Return the names of settings that aren't their defaults, from the card if it lists them."""
    # Defaults change between versions: the card's own list is of the version that trained.
    if (names := card.get("changed")) is not None:
        return list(map(str, names))
    defaults = {field.name: field.default for field in fields(PretrainSettings) if field.default is not MISSING}
    settings = {name: value for name, value in (card.get("settings") or {}).items() if name in defaults}
    return list(changed_settings(settings, defaults))


def _shared_facts(card: Card, origin: str) -> dict[str, Any]:
    """Return the facts of both templates: a model's origin, and rows of its changed settings and of all settings."""
    settings = flat_settings(card.get("settings") or {})
    rows = {
        name: (code(name), code(f'"{value}"' if isinstance(value, str) else repr(value)))
        for name, value in settings.items()
    }
    return {
        "card": facts_of(card),
        "origin": origin,
        "threshold_origin": Markdown(threshold_origin(card, code)),
        "is_embedded": origin in EMBEDDED,
        # Only OWNER/NAME is surely a model on the hub; a bare name may be a local folder.
        "base_model": origin if "/" in origin and is_hub_name(origin) else "",
        "changed": [rows[name] for name in _changed_names(card) if name in rows],
        "settings": list(rows.values()),
    }


def _data_files(card: Facts) -> Iterator[tuple[Any, ...]]:
    """Yield each file that a tagger was trained or scored on: data, file, purpose, sentences, SHA-256."""
    when = "together with the others" if card["joins_source"] else "before"
    before = f"{'silver sentences' if card['distilled'] else 'source domain'}, {when}"
    for key, use in (("source_data", before), ("data", "training")):
        data = card[key]
        for file, digest in data["sha256"].items():
            if split_of(file) != "dev":
                options = code(f"--split {data['split']} --split-seed {data['split_seed']}")
                use = Markdown(f"{use}, the part of {options}") if data["split"] else use  # noqa: PLW2901
                yield code(data["name"]), code(file), use, data["sentences"], code(digest)
            elif key == "data":
                dev = card["dev"]["sentences"]
                yield code(data["name"]), code(file), "held out: scores, confidences", dev, code(digest)
