"""A tagger's model card: `README.md` in its folder, with the front matter of model cards on the Hugging Face hub.

Every figure in it is that of `nerbert.json`, so it can be written anew when a temperature is; and one that somebody has
changed by hand is told from one that nobody has, and left alone. Names of types and files go into code spans.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nerbert.artifacts import publish
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.model.backbone import EMBEDDED, TaggerFacts
from nerbert.render.corpus import facts
from nerbert.render.encoder_card import HUB_NAME, settings_told
from nerbert.render.markdown import code, quoted, rows, said
from nerbert.terminal import percent

NAME = "README.md"
Card = Mapping[str, Any]
_MOST = 1e15
_USE = """
```python
from nerbert import Tagger

tagger = Tagger.load("FOLDER")
for span in tagger.tag("Marie Curie was born in Warsaw."):
    print(span.start, span.end, span.type, span.text, span.confidence)
```

```bash
nerbert tag FOLDER text.txt
```

or without nerbert, where words are cut by the pipeline's own rule, and scores are not calibrated:

```python
from transformers import pipeline

tagger = pipeline("token-classification", model="FOLDER", aggregation_strategy="first")
for entity in tagger("Marie Curie was born in Warsaw."):
    print(entity["word"], entity["entity_group"], entity["score"])
```

Only the label of a word's first piece counts.
""".strip()
_LIMITS = """
- It knows the types above and no others, in sentences like those it was trained on. Figures say nothing of other text.
- It looks at one sentence at a time, and an entity has one type and lies in no other.
- A confidence is how often entities like this one are right on sentences like those it was calibrated on. It says
  nothing of entities that were missed.
""".strip()


def tagger_card(card: Card) -> str:
    """The card as text: `card` is what `nerbert.json` holds."""
    types = [name for name in _list(card, "types") if isinstance(name, str)]
    parts = [
        _front(card), f"# A named-entity tagger of {len(types):,} {'type' if len(types) == 1 else 'types'}",
        _about(card, types), "## Use", _USE, "## What it was trained on", *_data(card), "## Scores", *_scores(card),
        "## Confidences", *_confidences(card), "## Settings", *settings_told(card, FinetuneSettings),
        "## Limits", _LIMITS, "## Licence", _licence(card),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


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


def _front(card: Card) -> str:
    """The YAML that the hub reads."""
    base = _encoder(card)
    return "\n".join([
        "---", f"license: {quoted(str(card.get('licence') or 'other'))}", "language:",
        f"- {quoted(str(card.get('language', '')))}", "library_name: transformers",
        "pipeline_tag: token-classification", *([f"base_model: {quoted(base)}"] if HUB_NAME.fullmatch(base) else []),
        "tags:", "- nerbert", "- named-entity-recognition", "---",
    ])  # fmt: skip


def _encoder(card: Card) -> str:
    """The name of the encoder, where it has one that means something elsewhere."""
    return str(facts.table(card, "encoder").get("name") or "")


def _about(card: Card, types: list[str]) -> str:
    encoder, origin = _encoder(card), facts.table(card, "encoder")
    wiki = facts.table(origin, "corpus").get("wiki")
    kinds = {
        "encoder": "an encoder that `nerbert pretrain` made",
        "untrained": "an encoder of random weights",
        "tagger": "another tagger",
    }
    begun = kinds.get(str(origin.get("kind")), "an encoder")
    told = f"{begun} of {code(wiki)}" if wiki else begun
    named = f" ({code(encoder)})" if encoder else ""
    names, language = ", ".join(map(code, types)), code(card.get("language", ""))
    return (
        f"It finds {names or 'nothing'} in text of the language {language}, with exact character offsets. "
        f"Fine-tuned from {told}{named} by {code(card.get('made_by', 'nerbert'))}; "
        "`nerbert.json` says for programs what is said here."
    )


def _data(card: Card) -> Iterator[str]:
    lines = []
    for key, what in (("source_data", "source domain, before"), ("data", "training")):
        data = facts.table(card, key)
        for file, digest in facts.table(data, "sha256").items():
            is_dev = file == "dev.conll"
            count = facts.table(card, "dev").get("sentences") if is_dev else data.get("sentences")
            if not (is_dev and key == "source_data"):
                role = "held out: scores, confidences" if is_dev else what
                lines.append((code(data.get("name")), code(file), role, _count(count), code(digest)))
    yield rows(("data", "file", "what for", "sentences", "SHA-256"), lines, [3]) or "Not told."


def _scores(card: Card) -> Iterator[str]:
    dev = facts.table(card, "dev")
    if not dev:
        yield "No held-out sentences were given, so nothing was scored: `nerbert evaluate FOLDER test.conll`."
        return
    yield (f"On the {_count(dev.get('sentences'))} sentences of dev.conll, in percent; an entity counts if its words "
           "and its type are exactly right.")  # fmt: skip
    if facts.table(card, "settings").get("select") == "dev":
        yield "The same sentences chose the checkpoint, so these figures are a little too high."
    by_type = facts.table(dev, "by_type")
    lines = [(code(name), *_figures(facts.table(by_type, name))) for name in by_type]
    heads = ("type", "precision", "recall", "F1", "right", "predicted", "gold")
    yield rows(heads, [*lines, ("all", *_figures(dev))], range(1, 7))


def _figures(counts: Card) -> list[str]:
    shares = [_share(counts.get(name)) for name in ("precision", "recall", "f1")]
    return [*shares, *(_count(counts.get(name)) for name in ("right", "predicted", "gold"))]


def _confidences(card: Card) -> Iterator[str]:
    told = facts.table(card, "calibration")
    if not told.get("entities"):
        why = "nothing was found in the held-out sentences" if told else "no held-out sentences were given"
        yield (f"Not calibrated: {why}. Confidences are those of the model as it is, mostly too high. `nerbert "
               "calibrate FOLDER DATA` fits them to annotated sentences that it wasn't trained on.")  # fmt: skip
        return
    data = facts.table(told, "data")
    sentences, entities = _count(told.get("sentences")), _count(told.get("entities"))
    yield (f"An entity's confidence is the mean probability of its words' tags, at a temperature of "
           f"{_number(told.get('temperature'))} (Guo et al. 2017), fitted on the {entities} entities that the tagger "
           f"finds in {sentences} sentences: {code(data.get('name'))}, SHA-256 "
           f"{code(data.get('sha256'))}.")  # fmt: skip
    before, after = _share(told.get("ece_before")), _share(told.get("ece_after"))
    yield (f"Expected calibration error there ({_count(told.get('bins'))} bins), in percent: {before} without it, "
           f"{after} with it. The latter is measured on {_count(told.get('folds'))} parts of the sentences, each with "
           "the temperature of the others.")  # fmt: skip
    yield from _thresholds(card, told)


def _thresholds(card: Card, told: Card) -> Iterator[str]:
    """What `nerbert calibrate --precision` chose."""
    by_type, bounds = facts.table(told, "by_type"), facts.table(card, "thresholds")
    if not by_type:
        return
    yield ("Entities less sure than their type's threshold are left out: the lowest at which precision reached "
           f"{_share(told.get('precision'))} on these sentences, so on others it will be a little lower. "
           '`Tagger.load("FOLDER", thresholds=0)` gives all.')  # fmt: skip
    heads = ("type", "threshold", "found", "kept", "precision of those kept", "right ones kept")
    tables = {name: facts.table(by_type, name) for name in by_type}
    yield rows(heads, [
        (code(name), _number(bounds[name]) if name in bounds else "none: never reached",
         *(_count(each.get(key)) for key in ("predicted", "kept")),
         *(_share(each.get(key)) for key in ("kept_precision", "recall_kept")))
        for name, each in tables.items()
    ], range(1, 6))  # fmt: skip


def _licence(card: Card) -> str:
    told, encoder = card.get("licence"), _encoder(card)
    if told:
        return f"Licence of this model, as its maker says: {code(told)}."
    backbone = "Apache-2.0" if encoder in EMBEDDED else "not known here"
    return (
        "Nobody has told this model's licence (`license: other` above). It depends on the encoder's "
        f"({backbone}) and on that of the sentences it was trained on."
    )


def _list(card: Card, key: str) -> list[Any]:
    found = card.get(key)
    return found if isinstance(found, list) else []


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST


def _share(value: Any) -> str:
    return percent(value) if _is_number(value) else "–"


def _number(value: Any) -> str:
    return f"{value:.3f}" if _is_number(value) else "–"


def _count(value: Any) -> str:
    return said(value) if _is_number(value) else "–"
