"""Zero-shot cells: a tagger is told the names of a target's types, all in one prompt, and learns nothing of it.

Figures go by a fixed threshold, 0.5, and by the best one on dev, off the same run (`above`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.errors import InputError
from nerbert.evaluation.benchmark.cells import Asking, CellSentences, Job, Predictions
from nerbert.evaluation.benchmark.learnt import LearntTypes, familiarities, learnt_types
from nerbert.evaluation.evaluate import labels_by_type
from nerbert.formats.entity_labels import parse_type_labels
from nerbert.formats.open_types import normalised
from nerbert.labels import WordSpan, bio_from_spans, word_spans
from nerbert.metrics.score import score_spans
from nerbert.model.concept_encoder import class_words
from nerbert.model.folder import ModelFolder
from nerbert.model.heads import Entities
from nerbert.records import EntityLabel, Example
from nerbert.rng import uniform
from nerbert.tagger.tagger import Tagger

FIXED = 0.5
"""The threshold that is fixed beforehand."""
_TRIED = tuple(number / 20 for number in range(1, 20))


def asked_labels(asking: Asking, examples: Sequence[Example]) -> dict[str, EntityLabel]:
    """Return type → the label that it is asked for by, in order; raise InputError if there is none, or one twice.

    Labels that differ in case or underscores alone are one.
    """
    given = parse_type_labels(asking.labels)
    types = list(given) or sorted({span.type for each in examples for span in each.spans})
    if not types:
        raise InputError("the sentences have no entity, so there is no type to ask for; list them (labels)")
    return labels_by_type(types, {each: given.get(each) or class_words(each) for each in types})


def shuffled(labels: Mapping[str, EntityLabel], seed: int) -> dict[str, EntityLabel]:
    """Return type → another one's label; raise InputError for one type alone."""
    if len(labels) < 2:
        raise InputError("shuffled_labels: one type alone has no other one's name")
    order = sorted(labels, key=lambda name: uniform(seed, "shuffled labels", name))
    return {name: labels[other] for name, other in zip(order, order[1:] + order[:1], strict=True)}


def tag_told(job: Job, part: CellSentences) -> Predictions:
    """Tell a job's tagger a target's types and tag its scored sentences, at both thresholds."""
    asking = job.asking or Asking()
    labels = asked_labels(asking, [*part.test, *part.dev])
    if asking.seen_only:
        tags = seen_tags(learnt_types(asking.trained_on), labels, part.test)
        return Predictions(tags, None, tags, {"asked": _told(labels)})
    labels = shuffled(labels, job.place.seed) if asking.shuffled else labels
    loaded = Tagger.load(
        job.encoder, backend=ModelFolder(job.encoder).backend, precision=job.settings.precision,
        threads=job.settings.threads,
    )  # fmt: skip
    head, types = loaded.head, {each.name: type_ for type_, each in labels.items()}

    def found_in(examples: Sequence[Example], least: float) -> Entities:
        found = head.for_labels(list(labels.values()), [least] * len(labels)).predict(examples)
        found.types[:] = [types[each] for each in found.types]
        return found

    facts: dict[str, Any] = {"asked": _told(labels), "threshold": FIXED}
    best = FIXED
    if part.dev:
        best, facts["dev_f1"] = best_threshold(found_in(part.dev, _TRIED[0]), part.dev)
        facts["dev_threshold"] = best
    whole = found_in(part.test, min(best, FIXED))
    usual = above(whole, FIXED).word_tags(part.test)
    tuned = [each.tags for each in above(whole, best).word_tags(part.test)] if part.dev else None
    return Predictions.of(usual, facts, tuned=tuned)


def above(found: Entities, least: float) -> Entities:
    """Return what a head that goes by thresholds finds at a higher one, `least` (0–1), without asking it again.

    An entity whose words each have a probability may fall into several. Nothing less likely kept a likelier one away.
    """
    odds, lengths = found.logits[:, 1] - found.logits[:, 0], np.diff(found.parts, append=len(found.chosen))
    owner = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(odds)) - found.parts[owner]
    with np.errstate(divide="ignore"):
        keep = odds >= np.log(least) - np.log1p(-least)
    before, after = np.append(False, keep[:-1]), np.append(keep[1:], False)
    first = np.flatnonzero(keep & ((place == 0) | ~before))
    last = np.flatnonzero(keep & ((place == lengths[owner] - 1) | ~after))
    of, whole = owner[first], lengths[owner[first]] == 1
    starts = np.where(whole, found.starts[of], found.starts[of] + place[first])
    ends = np.where(whole, found.ends[of], found.starts[of] + place[last] + 1)
    parts = (np.cumsum(keep) - 1)[first]
    return Entities(found.examples[of], starts, ends, [found.types[each] for each in of.tolist()],
                    found.logits[keep], found.chosen[keep], parts)  # fmt: skip


def best_threshold(found: Entities, examples: Sequence[Example]) -> tuple[float, float]:
    """Return the threshold with the highest F1 on examples, nearest to 0.5, and its F1; `found` is at the lowest."""
    gold = [word_spans(each) for each in examples]
    f1 = {each: score_spans(gold, above(found, each).word_spans(len(examples))).f1 for each in _TRIED}
    best = max(_TRIED, key=lambda each: (f1[each], -abs(each - FIXED), each))
    return best, f1[best]


def seen_tags(
    learnt: LearntTypes, labels: Mapping[str, EntityLabel], examples: Sequence[Example]
) -> list[list[str]]:  # fmt: skip
    """Return the tags of words by texts that were seen with a type of a label's name; raise InputError for no texts."""
    if not learnt.texts:
        raise InputError("trained_on: holds no text of a mention, so nothing was seen; give files of open types")
    types = {normalised(label.name): type_ for type_, label in labels.items()}
    known = dict[str, str]()
    for text, counts in learnt.texts.items():
        asked = Counter({types[name]: count for name, count in counts.items() if name in types})
        if asked:
            known[text] = min(asked, key=lambda name: (-asked[name], name))
    longest = max(map(len, known), default=0)
    return [bio_from_spans(len(each.words), _matches(each.tokens, known, longest)) for each in examples]


def _matches(tokens: Sequence[str], known: Mapping[str, str], longest: int) -> Iterator[WordSpan]:
    """Yield known texts among words, from the left, the longest first."""
    start = 0
    while start < len(tokens):
        text, found = "", None
        for end in range(start, len(tokens)):
            text += tokens[end]
            if len(text) > longest:
                break
            if text in known:
                found = (start, end + 1, known[text])
        if found:
            yield found
        start = found[1] if found else start + 1


def type_familiarities(job: Job, part: CellSentences) -> dict[str, float]:
    """Return the Familiarity (0–1) of each type that is asked for; empty where it can't be known."""
    asking = job.asking
    if asking is None or not (asking.label_encoder and asking.trained_on):
        return {}
    labels = asked_labels(asking, [*part.test, *part.dev])
    figures = familiarities([each.name for each in labels.values()], learnt_types(asking.trained_on),
                            Path(asking.label_encoder))  # fmt: skip
    return dict(zip(labels, figures.tolist(), strict=True))


def _told(labels: Mapping[str, EntityLabel]) -> dict[str, str]:
    return {type_: label.text for type_, label in labels.items()}
