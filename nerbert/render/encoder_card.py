"""The model card: `README.md` in an encoder's folder, with the front matter of model cards on the Hugging Face hub.

Every figure in it is that of `nerbert.json`, or of the corpus's manifest. What people elsewhere wrote goes into code
spans, or is escaped; the price is a card that is a little plain. The licence of a backbone isn't known here, so the
card says `other` until somebody who knows puts the right one in.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerbert.artifacts import publish
from nerbert.encoder.settings import PretrainSettings
from nerbert.model.backbone import EMBEDDED
from nerbert.records import ENTITY
from nerbert.render.corpus import facts
from nerbert.render.corpus.phrases import NO_LABEL, share
from nerbert.render.markdown import code, quoted, rows, said
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
_TAGGING = """
```bash
nerbert finetune FOLDER --data DATA --output TAGGER
```

Annotated sentences of your own domain give it your own types: that is what it is made for. As it stands it tags the
corpus's categories:

```python
from transformers import pipeline

tagger = pipeline("token-classification", model="FOLDER", aggregation_strategy="first")
for entity in tagger("Marie Curie was born in Warsaw."):
    print(entity["word"], entity["entity_group"], entity["score"])
```

or, piece by piece:

```python
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER")
model = AutoModelForTokenClassification.from_pretrained("FOLDER")
pieces = tokenizer("Marie Curie was born in Warsaw.", return_tensors="pt")
with torch.inference_mode():
    labels = model(**pieces).logits[0].argmax(-1)
print([model.config.id2label[int(label)] for label in labels])
```

Only the label of a word's first piece counts.
""".strip()
_FILLING = """
```bash
nerbert finetune FOLDER --data DATA --output TAGGER
```

gives it a tagging head of your own types. As it stands it fills masks:

```python
from transformers import pipeline

fill = pipeline("fill-mask", model="FOLDER")
for found in fill(f"Marie Curie was born in {fill.tokenizer.mask_token}."):
    print(found["token_str"], found["score"])
```
""".strip()
_LIMITS = """
- Its labels are silver: Wikipedia's links, typed by the page that they lead to. Nobody has checked them one by one, and
  a name that nobody linked stood as `O`. As a tagger without fine-tuning it repeats that: it misses names.
- Its validation figures are scored against the same kind of labels. They choose a checkpoint; they don't say how well
  it tags text, and can't be compared with figures on annotated data.
- It knows the wiki's language, and its subjects: places and people that Wikipedia writes about more, it knows better.
""".strip()


def model_card(card: Card, manifest: Mapping[str, Any]) -> str:
    """The card as text: `card` is what `nerbert.json` holds, `manifest` that of the corpus it was trained on."""
    tagging = card.get("objective") != "mlm"
    parts = [
        _front(card, tagging=tagging), f"# An encoder of {code(manifest['wiki'])}'s names", _about(card, manifest),
        "## Use", _TAGGING if tagging else _FILLING,
        "## What it was trained on", *_data(card, manifest), "## Settings", *settings_told(card, PretrainSettings),
        "## Validation", *_validation(card), "## Limits", _LIMITS, *_limits(card, manifest),
        "## Licence", *_licence(card, manifest),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def write_card(folder: Path, facts: "EncoderFacts") -> None:
    """Write the model card of an encoder's folder."""
    with publish(folder / "README.md") as draft:
        draft.write_text(model_card(facts.card, facts.manifest), encoding="utf-8")


def _front(card: Card, *, tagging: bool) -> str:
    """The YAML that the hub reads."""
    base = _backbone(card)
    return "\n".join([
        "---", f"license: {quoted(str(card.get('licence') or 'other'))}", "language:",
        f"- {quoted(str(card.get('language', '')))}", "library_name: transformers",
        f"pipeline_tag: {'token-classification' if tagging else 'fill-mask'}",
        *([f"base_model: {quoted(base)}"] if HUB_NAME.fullmatch(base) else []),
        "tags:", "- nerbert", "- named-entity-recognition", "- wikipedia", "---",
    ])  # fmt: skip


def _backbone(card: Card) -> str:
    return str(facts.table(card, "settings").get("backbone", ""))


def _about(card: Card, manifest: Mapping[str, Any]) -> str:
    backbone, step = _backbone(card), card.get("best_step")
    begun = "random weights, with a tokenizer trained on the corpus" if backbone == "fresh" else code(backbone)
    labels = code(facts.table(card, "label_set").get("name", ""))
    learnt = {
        "mlm": "pre-trained to find masked pieces of Wikipedia's sentences (Devlin et al. 2019 §3.1), the control that "
               "saw the text without the labels",
    }.get(str(card.get("objective")), "pre-trained to tag Wikipedia's links with the types of the pages they lead to "
          f"(NER-BERT, arXiv 2112.00405), by the labels of {labels}{_classes(card, manifest)}")  # fmt: skip
    kept = f" The weights are those of step {said(step)}, the best on validation." if isinstance(step, int) else ""
    return (
        f"An encoder for {code(card.get('language', ''))}, begun from {begun} and {learnt}.{kept} Made by "
        f"{code(card.get('made_by', 'nerbert'))}; `nerbert.json` says the same for programs."
    )


def _classes(card: Card, manifest: Mapping[str, Any]) -> str:
    """The number of categories, and of the head's classes, where it is told."""
    told = card.get("categories")
    same = facts.table(card, "label_set").get("sha256") == facts.table(manifest, "label_set").get("sha256")
    count = told if isinstance(told, int) else len(manifest["categories"]) if same else 0
    return (
        f": {count:,} categories with `{ENTITY}`, so {2 * count + 1:,} classes (O, and B and I of each)"
        if count
        else ""
    )


def _data(card: Card, manifest: Mapping[str, Any]) -> Iterator[str]:
    digest = facts.table(card, "corpus").get("manifest_sha256")
    yield (f"Sentences of {code(manifest['wiki'])}, made into a silver corpus by {code(manifest.get('made_by'))}; the "
           f"SHA-256 of its manifest is {code(digest)}. The sampling draws a sentence as often as it has "
           "copies.")  # fmt: skip
    columns = ("sentences", "words", "mentions", "copies")
    yield rows(("split", *columns), [
        (code(name), *(said(counts.get(column)) for column in columns)) for name, counts in manifest["splits"].items()
    ], range(1, 5))  # fmt: skip
    told = facts.counts_of(card, "label_set")
    typed, lost = told.get("typed_mentions"), told.get("made_entity")
    if typed and lost is not None:
        yield (f"Of {typed:,} mentions with a type, {share(lost, typed)} are `{ENTITY}` here: the label set has no "
               "label for them, or too few of it.")  # fmt: skip
    sources = [
        *((code(each.get("file")), "text and links", code(each.get("sha256") or each.get("sha256_of_parts")))
          for each in facts.rows_of(manifest, "inputs")),
        *((code(each.get("path")), f"types ({said(each.get('kind'))})", code(each.get("sha256")))
          for each in facts.rows_of(manifest["knowledge"], "used")),
    ]  # fmt: skip
    yield rows(("source", "what it gave", "SHA-256"), sources)


def settings_told(card: Card, kind: type[TrainSettings]) -> Iterator[str]:
    """The settings that aren't the defaults of their kind, then all of them, folded."""
    settings = facts.table(card, "settings")
    usual = {each.name: each.default for each in fields(kind) if each.default is not MISSING}
    changed = {name: value for name, value in settings.items() if name not in usual or usual[name] != value}
    precision = code(card["precision"]) if card.get("precision") else "the precision of its device"
    yield f"Computed in {precision}. What differs from the defaults:" if changed else f"Computed in {precision}."
    yield _table_of(changed)
    yield f"<details><summary>All settings</summary>\n\n{_table_of(settings)}\n\n</details>" if settings else ""


def _table_of(settings: Mapping[str, Any]) -> str:
    return rows(("setting", "value"), [(code(name), _value(value)) for name, value in settings.items()])


def _value(value: object) -> str:
    return code(f"{value!r}" if not isinstance(value, str) else f'"{value}"')


def _validation(card: Card) -> Iterator[str]:
    best = _figures(card.get("validation"))
    told = ", ".join(f"{code(name)} {_figure(name, value)}" for name, value in best.items())
    yield f"At the step that was kept, on held-out sentences of the corpus: {told}." if told else "Nothing was scored."
    yield _meanings(best)
    log = [_figures(each) for each in facts.rows_of(card, "log")][-_SHOWN:]
    names = [*_LOG_NAMES, *sorted({name for each in log for name in each} - {*_LOG_NAMES})]
    yield rows([said(name) if name in _LOG_NAMES else code(name) for name in names], [
        [_figure(name, each[name]) if name in each else "–" for name in names] for each in log
    ], range(len(names)))  # fmt: skip


def _meanings(best: Mapping[str, float]) -> str:
    meanings = {
        "typed_f1": f"entities with a type, `{ENTITY}` left out",
        "span_f1": "all entities, whatever their types",
        "mlm_loss": "mean cross-entropy of a masked piece",
        "mlm_accuracy": "masked pieces found",
    }
    told = [f"`{name}`: {meaning}" for name, meaning in meanings.items() if name in best]
    return f"F1 and shares are in percent. {'; '.join(told)}. The first one chose the checkpoint." if told else ""


def _figures(value: object) -> dict[str, float]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {str(name): each for name, each in pairs if isinstance(each, int | float) and not isinstance(each, bool)}


def _figure(name: str, value: float) -> str:
    if name == "step":
        return f"{value:,.0f}"
    if name == "epoch":
        return f"{value:.2f}"
    return f"{value:.4f}" if "loss" in name else percent(value)


def _limits(card: Card, manifest: Mapping[str, Any]) -> Iterator[str]:
    if card.get("objective") != "mlm":
        yield f"- `{ENTITY}` is {NO_LABEL}. It is a class like the others in training, and left out of `typed_f1`."
    excluded = [code(each.get("file")) for each in facts.rows_of(manifest, "excluded")]
    if excluded:
        yield f"- Left out of the corpus were sentences that share words in a row with {', '.join(excluded)}."
    else:
        yield ("- No text was excluded from the corpus: where a test set was taken from Wikipedia, it may have seen "
               "sentences of it.")  # fmt: skip


def _licence(card: Card, manifest: Mapping[str, Any]) -> Iterator[str]:
    told, backbone = card.get("licence"), _backbone(card)
    yield (
        f"Licence of this model, as its maker says: {code(told)}."
        if told
        else ("Nobody has told this model's licence (`license: other` above). It depends on:")
    )
    if backbone in EMBEDDED:
        yield f"- the backbone {code(backbone)}, which ships with nerbert: Apache-2.0;"
    elif backbone and backbone != "fresh":
        yield f"- the backbone {code(backbone)}: its licence isn't known here, see where it came from;"
    yield f"- the corpus it was trained on: {said(manifest.get('licence') or 'not told')}"
