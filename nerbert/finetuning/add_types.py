"""Add types to a tagger while it keeps its own: it also learns the entities that it finds itself in the new sentences.

Its own predictions replace the annotation that the new sentences lack (learning without forgetting, Li & Hoiem 2016;
for NER Monaikul et al. 2021). Old sentences that are trained on again lack the new types: their entities are predicted
by a tagger trained on the new sentences alone (ours). Cost: with old sentences it trains twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nerbert.data.splits import AnyData, DataSet, read_data
from nerbert.errors import InputError, few
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import TaggerOutput, finetune, finetune_domains
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import Start, has_tags, objective_for, takes_labels
from nerbert.labels import common_name, learnt_words, types_of, types_of_examples
from nerbert.model.backbone import Backbone, load_tagger_model, tags_of
from nerbert.model.folder import SIGNS, read_card
from nerbert.model.forward import TorchScorer
from nerbert.model.head_kinds import HeadOptions
from nerbert.model.heads import Head
from nerbert.model.linear import LinearHead
from nerbert.records import Example, Span
from nerbert.terminal import tell

SOFT = "distillation"
"""The objective of a head of fixed types: it learns from confidences."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Training data: new sentences with the tagger's own predictions, and `old` ones; `facts` are for the card."""

    domains: Domains[DataSet]
    old: list[Example]
    settings: FinetuneSettings
    facts: dict[str, Any]

    def with_old(self, learnt: Head) -> Domains[DataSet]:
        """Return new and old sentences; `learnt`, trained on the new ones alone, finds new types in the old ones."""
        new = self.domains.target
        old, count = _with_answers(learnt, self.old, set(types_of_examples(new.train)) - set(self.domains.types))
        tell(f"{count:,} entities of new types found in {len(old):,} old sentences; both are trained on now")
        return replace(self.domains, target=replace(new, train=[*new.train, *old]))


def add_types(
    tagger: str,
    data: Domains[AnyData],
    output: TaggerOutput,
    settings: FinetuneSettings,
    *,
    old: AnyData | None = None,
    same_types: bool = False,
) -> list[Path]:
    """Fine-tune a tagger on sentences of new types so that it keeps its own; return the folders, as `finetune` does.

    `old` are sentences with its own types to train on again, which requires training twice. With `same_types`, types of
    both are labelled in all new sentences; otherwise such types are an error.
    """
    output.check()
    domains = data.read(tagger)
    domains.check_dev(settings)
    prepared = prepare(tagger, domains, settings, old, same_types=same_types)
    output = replace(output, facts=prepared.facts)
    settings = prepared.settings
    if not prepared.old:
        return finetune(tagger, prepared.domains, output, settings)
    with output.each_seed(settings) as outputs:
        for seed_output, seed_settings in outputs:
            # The first training learns the new types; it then finds them in the old
            # sentences, which lack them. The second one, from the start again, has both
            # kinds of types in both kinds of sentences.
            learnt = finetune_domains(tagger, prepared.domains, seed_settings)
            finetune(tagger, prepared.with_old(learnt.head), seed_output, seed_settings)
    return output.folders


def prepare(
    tagger: str,
    domains: Domains[DataSet],
    settings: FinetuneSettings,
    old: AnyData | None = None,
    *,
    same_types: bool = False,
) -> Prepared:
    """Return the sentences to train on; raise InputError if it isn't a tagger, and for types that clash."""
    settings = objective_for(tagger, settings, SOFT)
    card = read_card(tagger)
    data = domains.target
    labels = domains.labels
    words = dict[str, str]()
    at_run_time = takes_labels(settings)
    types = _own_types(tagger, card, data.train, labels if at_run_time else None)
    both = _types_of_both(types, data.train, tagger, same_types=same_types)
    if at_run_time:
        # The teacher must read each type as the tagger learnt it, unless `--labels` says otherwise.
        read_words = learnt_words(card)
        words = {type_: " or ".join(read_words.get(type_, [""])) for type_ in types}
        words |= {type_: label for type_, label in labels.items() if label}
        no_sentences = Domains(DataSet(Path(tagger), []), None, {type_: words[type_] for type_ in types}, types)
        teacher = Start.of(tagger, no_sentences, settings).head()
    else:
        # The tagger itself, unchanged, is the teacher: a new head would start without its merged tags.
        settings = replace(settings, source_head="shared")
        model = load_tagger_model(tagger)
        options = HeadOptions(longest=settings.max_length, window=card.get("window_length", 0))
        pieces = options.pieces(tagger, model.config)
        scorer = TorchScorer(model, settings.precision)
        teacher = LinearHead.of(scorer, pieces, tags_of(model, tagger))
    kept = set(types) - set(both)
    train, count = _with_answers(teacher, data.train, kept)
    dev, _ = _with_answers(teacher, data.dev, kept)
    again = [] if old is None else _old_sentences(old, types, data)
    tell(
        f"{len(types)} own types: {count:,} entities found in the new sentences; "
        f"{len(again):,} old sentences beside them"
    )
    if data.dev and kept:
        # Dev scores of own types compare the new tagger with the old one, not with the truth.
        tell("on dev, its own answers stand for its own types: scores there don't say whether they are right")
    if old is None:
        lost = sorted(kept - set(types_of_examples(train)))
        risk = f": of {few(lost)} none was found, so they will probably be forgotten" if lost else ""
        tell(f"without --old-data, nothing here measures what is forgotten of its own types{risk}")
    facts = {
        "added_types": {"own": types, "found": count, "old_sentences": len(again)},
        **({SIGNS: True} if card.get(SIGNS) else {}),
    }
    # No new type is missing in the old sentences, so one training has both.
    if set(types_of_examples(data.train)) <= set(types):
        train = [*train, *again]
        again = []
    return Prepared(Domains(replace(data, train=train, dev=dev), None, words, types), again, settings, facts)


def _own_types(
    tagger: str, card: Mapping[str, Any], train: Sequence[Example], labels: Mapping[str, str] | None
) -> list[str]:
    """Return the types to keep: the card's, or `labels` (None: fixed types) that no new sentence has."""
    new = types_of_examples(train)
    # Without types in its card a model of any labels keeps those that `--labels` names.
    types = sorted(card.get("types") or {*(labels or ())}.difference(new))
    if not types and labels is None and has_tags(tagger):
        types = types_of(tags_of(Backbone(tagger, None, 0), tagger))
    if not types:
        why = "it is an encoder, so leave out --add-types" if labels is None else "name the types to keep with --labels"
        raise InputError(f"{tagger}: has no types of its own; {why}")
    return types


def _types_of_both(types: Sequence[str], train: Sequence[Example], tagger: str, *, same_types: bool) -> list[str]:
    """Return the types that new sentences share with the tagger; raise InputError unless that is allowed."""
    names = {common_name(span.type): span.type for example in train for span in example.spans}
    both = [type_ for type_ in types if common_name(type_) in names]
    if both and not same_types:
        raise InputError(
            f"{few(both)}: types of the new sentences that {tagger} has, too. If they mean the same, and all new "
            "sentences are labelled with them, give --same-types; else rename them in the data"
        )
    # "PER" and "Per" would be two types of one meaning.
    if other := next((type_ for type_ in both if type_ not in names.values()), ""):
        raise InputError(
            f"types {other!r:.80} and {names[common_name(other)]!r:.80} are one under two names; rename one"
        )
    return both


def _with_answers(teacher: Head, examples: Sequence[Example], types: set[str]) -> tuple[list[Example], int]:
    """Return sentences with the entities that a tagger finds besides their own, and the number of these entities."""
    if not examples:
        return [], 0
    spans = [list(example.spans) for example in examples]
    count = 0
    for number, first, last, type_, confidence in teacher.predict(examples).spans():
        example = examples[number]
        start = example.words[first][0]
        end = example.words[last - 1][1]
        # The annotation wins: a prediction that overlaps it is left out.
        if type_ in types and all(end <= span.start or span.end <= start for span in example.spans):
            spans[number].append(Span(start, end, type_, example.text[start:end], confidence))
            count += 1
    pairs = zip(examples, spans, strict=True)
    return [replace(example, spans=tuple(sorted(both, key=lambda span: span.start))) for example, both in pairs], count


def _old_sentences(data: AnyData, types: Sequence[str], new: DataSet) -> list[Example]:
    """Return old sentences, in which only the tagger's own types are annotated."""
    old = read_data(data, reading=new.reading)
    others = set(types_of_examples(old.train)) - set(types)
    if others:
        raise InputError(
            f"{old.folder}: has types that the tagger lacks ({few(sorted(others))}); leave them out, or "
            "add them as new ones"
        )
    return old.train
