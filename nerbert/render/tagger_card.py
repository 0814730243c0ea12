"""The model card of a tagger: `README.md` in its folder, with the front matter of the Hugging Face hub.

Every figure in it comes from `nerbert.json`, so it can be written anew when a temperature changes; and one that
somebody has changed by hand is recognised and left alone.
"""

from pathlib import Path
from typing import Any

from nerbert import render
from nerbert.artifacts import publish
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.folder import split_of
from nerbert.model.backbone import EMBEDDED, TaggerFacts
from nerbert.render.encoder_card import HUB_NAME, Card, settings_facts
from nerbert.render.escape import Markdown, code
from nerbert.render.values import dict_of
from nerbert.terminal import percent

NAME = "README.md"
_MOST = 1e15
_ORIGINS = {
    "encoder": "an encoder that `nerbert pretrain` made",
    "untrained": "an encoder of random weights",
    "tagger": "another tagger",
}


def write_card(folder: Path, facts: TaggerFacts) -> bool:
    """Write the model card of a tagger's folder; return whether it was written.

    With `facts.before`, a README that was made from neither that nor the new facts is left as it is.
    """
    path, text = folder / NAME, tagger_card(facts.card)
    ours = (text, tagger_card(facts.before)) if facts.before is not None else ()
    if ours and path.exists() and path.read_bytes() not in [each.encode() for each in ours]:
        return False
    with publish(path) as draft:
        draft.write_bytes(text.encode())
    return True


def tagger_card(card: Card) -> str:
    """Return the card: `card` is what `nerbert.json` holds."""
    origin, dev, calibration = dict_of(card, "encoder"), dict_of(card, "dev"), dict_of(card, "calibration")
    encoder, names = str(origin.get("name") or ""), card.get("types")
    return render.render(
        "tagger_card.md.j2", pretrained=False, task="token-classification", licence=card.get("licence"),
        language=str(card.get("language", "")), made_by=card.get("made_by", "nerbert"),
        types=[name for name in names if isinstance(name, str)] if isinstance(names, list) else [],
        base_model=encoder if HUB_NAME.fullmatch(encoder) else "", encoder=encoder, is_embedded=encoder in EMBEDDED,
        origin=Markdown(_ORIGINS.get(str(origin.get("kind")), "an encoder")),
        wiki=dict_of(origin, "corpus").get("wiki"), data=_data(card), scores=_scores(dev),
        dev_sentences=_count(dev.get("sentences")), chose=dict_of(card, "settings").get("select") == "dev",
        calibration=_calibration(calibration) if calibration.get("entities") else None,
        uncalibrated="nothing was found in the held-out sentences" if calibration else
                     "no held-out sentences were given",
        reached=_share(calibration.get("precision")), thresholds=_thresholds(card, calibration),
        **settings_facts(card, FinetuneSettings),
    )  # fmt: skip


def _data(card: Card) -> list[tuple[str, ...]]:
    """Return each file that it learnt from, or was scored on: data, file, what for, sentences, SHA-256."""
    rows: list[tuple[str, ...]] = []
    for key, what in (("source_data", "source domain, before"), ("data", "training")):
        data = dict_of(card, key)
        for file, digest in dict_of(data, "sha256").items():
            is_dev = split_of(file) == "dev"
            if is_dev and key == "source_data":
                continue
            count = dict_of(card, "dev").get("sentences") if is_dev else data.get("sentences")
            role = "held out: scores, confidences" if is_dev else what
            rows.append((code(data.get("name")), code(file), role, _count(count), code(digest)))
    return rows


def _scores(dev: Card) -> list[tuple[str, ...]]:
    """Return figures by type, and over all, if sentences were held out."""
    by_type = dict_of(dev, "by_type")
    rows = [(code(name), dict_of(by_type, name)) for name in by_type] + [(Markdown("all"), dev)]
    shares, counts = ("precision", "recall", "f1"), ("right", "predicted", "gold")
    return [(name, *(_share(each.get(key)) for key in shares), *(_count(each.get(key)) for key in counts))
            for name, each in rows] if dev else []  # fmt: skip


def _calibration(told: Card) -> dict[str, Any]:
    data = dict_of(told, "data")
    counts = {name: _count(told.get(name)) for name in ("entities", "sentences", "bins", "folds")}
    shares = {"before": _share(told.get("ece_before")), "after": _share(told.get("ece_after"))}
    place = {"file": data.get("name"), "sha256": data.get("sha256")}
    return {"temperature": _number(told.get("temperature")), **counts, **shares, **place}


def _thresholds(card: Card, calibration: Card) -> list[tuple[str, ...]]:
    """Return what `nerbert calibrate --precision` chose, by type."""
    by_type, bounds = dict_of(calibration, "by_type"), dict_of(card, "thresholds")
    counts, shares = ("predicted", "kept"), ("kept_precision", "recall_kept")
    return [
        (code(name), _number(bounds[name]) if name in bounds else "none: never reached",
         *(_count(dict_of(by_type, name).get(key)) for key in counts),
         *(_share(dict_of(by_type, name).get(key)) for key in shares))
        for name in by_type
    ]  # fmt: skip


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST


def _share(value: Any) -> str:
    return percent(value) if _is_number(value) else "–"


def _number(value: Any) -> str:
    return f"{value:.3f}" if _is_number(value) else "–"


def _count(value: Any) -> str:
    return f"{value:,}" if _is_number(value) else "–"
