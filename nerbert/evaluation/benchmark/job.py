"""A cell of a benchmark: read its sentences, predict, score, store.

A tagger lives in memory. Only its predictions are kept: they can be scored again whenever the rules change.
"""

import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from nerbert.errors import InputError
from nerbert.evaluation.benchmark.cells import Cell, CellKey, CellSentences, FoundEntities, Predictions, State
from nerbert.evaluation.benchmark.keys import DataFiles
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.system import System, timed
from nerbert.evaluation.benchmark.systems.learnt import Learnt
from nerbert.evaluation.datasets.load import find_duplicates
from nerbert.finetuning.sampling import SizeUnit, draw_episode, draw_subset, parse_size
from nerbert.labels import WordSpan, bio_from_spans, example_tags
from nerbert.metrics.judging import assess, seen_entities, without_types
from nerbert.metrics.score import Counts, Pair, Score, pair_of, score_boundaries, score_pair
from nerbert.process import cores
from nerbert.records import Example


@dataclass(frozen=True, slots=True)
class Job:
    """A cell to run: a system, its data, and the keys of its steps."""

    place: CellKey
    system: System
    data: DataFiles
    split: str
    """The split that is scored."""
    else_types: tuple[str, ...]
    """Types of the target that only say "none of the others"; there is a second score without them."""
    tag_key: str
    key: str
    """The key of the last step, and of the cell."""
    learnt: Learnt = field(default_factory=Learnt)
    """What a zero-shot system was trained on, to score seen names apart."""

    def check_unchanged(self) -> None:
        """Raise NerbertError if its files no longer fit its key; call it after reading them."""
        self.data.check_unchanged()
        self.system.check_unchanged()

    def make(self, store: Store, scratch: Path) -> None:
        """Run the cell; if its predictions are stored, only score them."""
        cost: dict[str, Any] = {}
        with timed(cost, "read"):
            part = self.read()
        found = store.read_predictions(self.tag_key, part.test) or self._predict(part, store, scratch)
        self.check_unchanged()
        with timed(cost, "score"):
            seen_names = self.learnt.seen_names(found.facts.get("asked", {})) if found.others else {}
            scores = score_part(part, found, self.else_types, seen_names)
        seconds = found.facts["seconds"] | cost
        facts = part.facts | found.facts | self._origin() | {"duplicates": len(part.duplicates), "seconds": seconds}
        facts |= {f"{kind}_seconds": round(sum(each[kind] for each in seconds.values()), 3) for kind in ("cpu", "wall")}
        store.write_cell(self.key, Cell(self.place, State.DONE, "", scores, facts))

    def read(self) -> CellSentences:
        """Read exactly the files of the key, and draw the sentences."""
        there = self.data.read()
        scored, dev = (there.dev, []) if self.split == "dev" else (there.test, there.dev)
        if not scored:
            raise InputError(f"holds no {self.split} split, so nothing can be scored on it; add one")
        part = draw_part(there.train, scored, self.place.size, self.place.draw)
        episode = parse_size(self.place.size).kind is SizeUnit.EPISODE
        duplicates = () if episode else find_duplicates(there.train, scored)
        return replace(part, dev=dev, duplicates=duplicates, name=str(self.data.folder))

    def _predict(self, part: CellSentences, store: Store, scratch: Path) -> Predictions:
        """Let the system predict, and store its predictions."""
        found = self.system.predict(part, store, scratch)
        self.check_unchanged()
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        found.facts.update(finished=finished, machine=f"{_processor()}, {cores()} cores")
        store.write_predictions(self.tag_key, self.place, found)
        return found

    def _origin(self) -> dict[str, Any]:
        """Return the cell's inputs: digests of its data, its seed, the keys of its steps."""
        source = self.system.source
        return {
            "data": self.data.sha256, "split": self.split, "seed": self.place.seed,
            "keys": {"source": source.key if source else None, "tag": self.tag_key, "score": self.key},
        }  # fmt: skip


def score_part(
    part: CellSentences, found: Predictions, else_types: Collection[str] = (),
    seen_names: Mapping[str, bool] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return the scores of a cell: of the tags that users get, and F1 of the greedy tags. A second score leaves out
    duplicates of train sentences. Seen entities are those of the sentences that the cell trained on; a source domain
    doesn't count. `type_accuracy` is the share
    of entities with the right words whose type is right, too. Further scores, if they apply: without else types, of
    each further reading (also over the types with `seen_names` and over those without), with Familiarity.
    """
    gold = [example_tags(each) for each in part.test]
    tags, sure = _tags(part.test, found.entities)
    judged = assess(
        gold, tags, confidences=sure if found.sure else None, words=[each.tokens for each in part.test],
        seen=seen_entities(part.train) if part.train else None, without=part.duplicates,
    )  # fmt: skip
    pair = pair_of(gold, found.greedy or tags)
    greedy, strict = (Counts.as_json(score_pair(each)) for each in (pair, pair.strict()))
    more = {"without_else": without_types(gold, tags, else_types).as_json()} if else_types else {}
    for name, entities in found.others.items():
        more[name] = _counts(pair_of(gold, _tags(part.test, entities)[0]), seen_names or {})
    scores = judged.as_json() | {"greedy": greedy | {"strict": strict}} | more
    scores |= _type_accuracy(scores["micro"], scores["span"])
    if familiar := found.facts.get("familiarity"):
        scores["familiarity"] = fmean(familiar.values())
        for name in familiar.keys() & scores["by_type"].keys():
            scores["by_type"][name]["familiarity"] = familiar[name]
    return scores


def _counts(pair: Pair, seen_names: Mapping[str, bool]) -> dict[str, Any]:
    """Return counts of a reading: with types, without them (`span`), by whether a type's name was seen in training, and
    how many right spans have the right type.
    """
    score, spans = score_pair(pair), score_boundaries(pair).as_json()
    typed = Counts.as_json(score)
    return {**typed, "span": spans, **_type_accuracy(typed, spans), **_by_names(score, seen_names)}


def _by_names(score: Score, seen_names: Mapping[str, bool]) -> dict[str, Any]:
    """Return counts over the types with a seen name and over those without; nothing for a kind that has no type."""
    found = {}
    for name, seen in {"seen_names": True, "unseen_names": False}.items():
        if types := [type_ for type_, known in seen_names.items() if known is seen]:
            counts = [score.by_type.get(each, Counts()) for each in types]
            sums = (sum(getattr(each, key) for each in counts) for key in ("right", "predicted", "gold"))
            found[name] = Counts(*sums).as_json()
    return found


def _type_accuracy(typed: Mapping[str, Any], spans: Mapping[str, Any]) -> dict[str, float]:
    """Return the share of right spans whose type is right; nothing without a right span."""
    return {"type_accuracy": typed["right"] / spans["right"]} if spans["right"] else {}


def _tags(examples: Sequence[Example], found: FoundEntities) -> tuple[list[list[str]], list[list[float]]]:
    """Return the tags of words by the outermost entities, and their confidences, 1 where a system says none."""
    tags, sure = [], [[1.0] * len(each.words) for each in examples]
    for number, entities in enumerate(found):
        outer = list[WordSpan]()
        for start, end, type_, confidence in entities:
            if not outer or outer[-1][1] <= start:
                outer.append((start, end, type_))
                sure[number][start:end] = [1.0 if confidence is None else confidence] * (end - start)
        tags.append(bio_from_spans(len(examples[number].words), outer))
    return tags, sure


def draw_part(train: Sequence[Example], test: Sequence[Example], size: str, draw: int) -> CellSentences:
    """Return the sentences of a cell: a subset and the scored split, or the two parts of an episode.

    They are the same for every system, seed and protocol.
    """
    wanted = parse_size(size)
    if wanted.kind is SizeUnit.EPISODE:
        episode = draw_episode(test, wanted.ways, wanted.shots, wanted.queries, draw)
        drawn: dict[str, Any] = {
            "types": list(episode.types), "places": list(episode.support), "reached": episode.support_reached,
            "query_places": list(episode.query), "query_reached": episode.query_reached,
        }  # fmt: skip
        chosen, asked = ([test[place] for place in places] for places in (episode.support, episode.query))
    elif wanted.kind is SizeUnit.ZERO:
        return CellSentences([], list(test), {"sentences": 0, "test_sentences": len(test)})
    else:
        subset = draw_subset(train, wanted, draw)
        chosen, asked = [train[place] for place in subset.places], list(test)
        drawn = {"reached": subset.reached, "short": subset.short}
        drawn |= {} if wanted.kind is SizeUnit.ALL else {"places": list(subset.places)}
    trained, tested = ({span.type for each in part for span in each.spans} for part in (chosen, asked))
    facts = {"sentences": len(chosen), "test_sentences": len(asked), "unknown_types": sorted(tested - trained)}
    return CellSentences(chosen, asked, facts | drawn)


def _processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
