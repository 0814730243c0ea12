"""Answers on drawn spans of unlabelled texts → precision with its interval, a temperature, thresholds.

Figures are pooled; a label has its own from `ENOUGH` answers on. Temperatures are all multiplied by one factor.
Limitation: nothing is learnt of entities that the tagger doesn't find at all.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from nerbert.errors import InputError, SettingsError
from nerbert.metrics.calibration import best_temperature, check_precision, temperature_losses, uncalibrated
from nerbert.metrics.span_sample import WeightedShare, lowest_reaching, weighted_share
from nerbert.metrics.temperatures import Temperatures
from nerbert.model.folder import TaggerFacts, TaggerHook, seed_folders
from nerbert.model.heads import Entities
from nerbert.model.threshold_fit import calibrated
from nerbert.rng import Array
from nerbert.tagger.fitted_card import refitted, tagger_card, write_fitted
from nerbert.tagger.found_spans import FoundSpans
from nerbert.tagger.span_answers import SpanAnswers

ENOUGH = 20
"""Answers on spans of a label from which on it has figures, and a threshold, of its own."""
SPANS = 100
_PLACES, _CARD_PLACES = 6, 4
Ask = Callable[[SpanAnswers], None]
"""Gets answers on the open spans; some may stay open."""


@dataclass(frozen=True, slots=True)
class JudgedLabel:
    """A label: spans `found`, those `kept` by its `threshold`, answers on both; None where there are too few to tell.

    `own`: the threshold was fitted on answers of this label alone.
    """

    found: int
    kept: int
    judged: int
    kept_judged: int
    precision: WeightedShare | None
    threshold: float
    own: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """The result: what the card's `calibration` has, precision at the thresholds `before` and after, and by label.

    `pooled` is the threshold of labels without one of their own, if a precision was wanted and all answers together
    reach it. `right_kept` is the share (0–1) of right spans that the thresholds keep.
    """

    folder: Path
    calibration: dict[str, Any]
    temperature_before: float
    before: WeightedShare | None
    after: WeightedShare | None
    right_kept: float
    labels: dict[str, JudgedLabel]
    pooled: float | None
    unsure: int
    old_readme: bool


def answers_path(tagger: str | Path) -> Path:
    """Return where answers on a tagger's spans are kept by default: beside its folder."""
    folder = Path(tagger).absolute()
    return folder.with_name(f"{folder.name}.answers.jsonl")


def calibrate_judged(
    tagger: str | Path, texts: Sequence[str | Path], ask: Ask, *, answers: Path | None = None,
    spans: int | None = None, seed: int | None = None, precision: float | None = None, labels: str = "",
    from_: str = "", field: str = "text", head: str = "", card: TaggerHook | None = None, dry_run: bool = False,
) -> Judged | None:  # fmt: skip
    """Calibrate a tagger's folder on answers to spans drawn from unlabelled texts; None if some are still open.

    The draw is of so many `spans` (100) by a `seed` (0), and written to the file `answers` (`answers_path`), from which
    a later call goes on. `ask` gets the answers. With `precision` (above 0, at most 1), the thresholds are those that
    reach it. `labels`, `from_` and `field` are as in `nerbert tag`, the rest as in `calibrate`.
    """
    if precision is not None:
        check_precision(precision)
    if spans is not None and spans < 1:
        raise SettingsError(f"spans = {spans}: must be at least 1")
    if several := seed_folders(str(tagger)):
        raise InputError(f"{tagger}: holds a tagger for each seed; name one of them, say {several[0]}")
    folder, path = Path(tagger), answers or answers_path(tagger)
    before = tagger_card(folder)
    drawn = SpanAnswers.read(path) if path.exists() else None
    found = FoundSpans.of(folder, texts, labels=labels, from_=from_, field=field, head=head)
    if drawn is None:
        drawn = found.draw(path, SPANS if spans is None else spans, seed or 0)
    else:
        found.check(drawn, spans, seed)
    if drawn.open:
        ask(drawn)
    if drawn.open:
        return None
    fit = _Fit(found, drawn, precision)
    after = refitted(before, **fit.card_values(before))
    stays = not dry_run and write_fitted(folder, TaggerFacts(after, before), head, card)
    return fit.result(folder, stays)


class _Fit:
    """The values that follow from the answers, before and after."""

    def __init__(self, found: FoundSpans, drawn: SpanAnswers, precision: float | None) -> None:
        given = sorted((each.number, each.right, each.probability) for each in drawn.questions
                       if isinstance(each.right, bool))  # fmt: skip
        if not given:
            raise InputError(f"{drawn.path}: no span was judged right or wrong, so nothing can be fitted")
        numbers, right, chances = (np.array(each) for each in zip(*given, strict=True))
        self.found, self.drawn, self.precision = found, drawn, precision
        self.places, self.right, self.weights = numbers, right, 1 / chances
        self.types = np.array(found.entities.types, object)
        tagger = found.tagger
        self.names, self.old, self.bounds = sorted(set(found.entities.types)), tagger.scaling, tagger.thresholds
        self.scaling = _fitted_scaling(found.part(numbers), right, self.weights, self.old)
        converted = {name: self.convert(bound, name) for name, bound in self.bounds.items()}
        self.own, self.pooled = dict[str, float](), cast("float | None", None)
        sure = found.entities.confidences(self.scaling)
        if precision is not None:
            self._find_lowest(sure[numbers], precision)
        rest = converted if self.pooled is None else dict.fromkeys(converted, self.pooled)
        self.thresholds = {**rest, **self.own}
        self.kept = sure >= np.array([self.thresholds.get(name, 0.0) for name in found.entities.types])
        self.kept_before = _kept(found.entities, self.old, self.bounds)

    def convert(self, threshold: float, label: str) -> float:
        """Return the confidence that the new temperature makes of a threshold's probability."""
        return calibrated(uncalibrated(threshold, self.old.of(label)), self.scaling.of(label))

    def _find_lowest(self, sure: Array, precision: float) -> None:
        """Find the thresholds of labels with enough answers that reach a precision, and one of all answers."""
        types, scale = self.types[self.places], 10**_PLACES
        sure = np.floor(sure * scale) / scale

        def lowest(some: Array, name: str) -> float | None:
            least = math.floor(uncalibrated(self.found.lowest, 1 / self.scaling.of(name)) * scale) / scale
            return lowest_reaching(sure[some], self.right[some], self.weights[some], precision, least)

        enough = [name for name in self.names if np.count_nonzero(types == name) >= ENOUGH]
        self.own = {name: each for name in enough if (each := lowest(types == name, name)) is not None}
        self.pooled = lowest(np.ones(len(types), bool), "")

    def share(self, some: Array) -> WeightedShare | None:
        """Return the precision of some of the found spans."""
        judged = some[self.places]
        return weighted_share(self.right[judged], self.weights[judged])

    def card_values(self, card: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the card has from now on."""
        others = {name: self.convert(bound, name) for name, bound in (card.get("thresholds") or {}).items()}
        if self.found.tagger.usual_threshold:
            usual = self.convert(self.found.tagger.usual_threshold, "") if self.pooled is None else self.pooled
            stay = {name: each for name, each in others.items() if self.pooled is None or name not in self.thresholds}
            return {"calibration": self.calibration(), "threshold": usual, "thresholds": {**stay, **self.own}}
        bounds = {name: each for name, each in {**others, **self.thresholds}.items() if each > 0 or name in self.own}
        return {"calibration": self.calibration(), "thresholds": bounds}

    def calibration(self) -> dict[str, Any]:
        """Return what the card's `calibration` has: the temperatures, and what they rest on."""
        found, unsure = self.found, len(self.drawn.questions) - len(self.right)
        after, before = (_in_card(self.share(each)) for each in (self.kept, self.kept_before))
        wanted = {} if self.precision is None else {"precision": self.precision}
        return {
            **self.scaling.as_json(), "entities": len(self.right), "sentences": len(found.sentences),
            "decoding": found.tagger.decoding, "data": {"name": found.name, "sha256": found.texts}, **wanted,
            "judged": {"found": len(self.types), "unsure": unsure, "by": self.drawn.judges,
                       "seed": self.drawn.head.seed, "precision_before": before,
                       "precision_after": after, "right_kept": round(self.right_kept, _CARD_PLACES),
                       "own_thresholds": sorted(self.own), "pooled": self.pooled is not None},
        }  # fmt: skip

    @property
    def right_kept(self) -> float:
        """Return the share (0–1) of right spans that the thresholds keep."""
        right = self.right * self.weights
        return float((right * self.kept[self.places]).sum() / max(right.sum(), 1e-9))

    def result(self, folder: Path, old_readme: bool) -> Judged:
        """Return what was fitted."""
        labels = {name: self._label(name) for name in self.names}
        return Judged(
            folder, self.calibration(), self.old.pooled, self.share(self.kept_before), self.share(self.kept),
            self.right_kept, labels, self.pooled, len(self.drawn.questions) - len(self.right), old_readme,
        )  # fmt: skip

    def _label(self, name: str) -> JudgedLabel:
        all_, kept = self.types == name, (self.types == name) & self.kept
        judged, kept_judged = int(all_[self.places].sum()), int(kept[self.places].sum())
        share = self.share(kept) if kept_judged >= ENOUGH else None
        return JudgedLabel(int(all_.sum()), int(kept.sum()), judged, kept_judged, share,
                           self.thresholds.get(name, 0.0), name in self.own)  # fmt: skip


def _in_card(share: WeightedShare | None) -> dict[str, float] | None:
    return None if share is None else {name: round(each, _CARD_PLACES) for name, each in asdict(share).items()}


def _kept(found: Entities, scaling: Temperatures, bounds: Mapping[str, float]) -> Array:
    """Return which of the spans reach the threshold of their label."""
    kept: Array = found.confidences(scaling) >= np.array([bounds.get(name, 0.0) for name in found.types])
    return kept


def _fitted_scaling(judged: Entities, right: Array, weights: Array, old: Temperatures) -> Temperatures:
    """Return the temperatures, all multiplied by the factor of the lowest weighted log loss of the answers.

    The weights are scaled to the effective number of answers (Kish 1965), against which the prior of a temperature is
    set; its middle is a factor of 1.
    """
    losses = temperature_losses(lambda factor: judged.confidences(old.times(factor)), right)
    factor = best_temperature(losses * (weights * weights.sum() / (weights**2).sum()))
    return old.times(factor).rounded(_CARD_PLACES)
