"""What a tagger's card says of held-out sentences: how well it finds entities there, and its confidences' temperature.

Both are of the best legal path of tags, which is what a tagger gives. The error of confidences with the temperature is
measured by parts of the sentences, each by the others' temperature, so it is no promise that the fit makes to itself.
"""

from collections.abc import Mapping
from typing import Any

from nerbert.metrics.temperature import cross_fit
from nerbert.model.confidence import Predicted

_PLACES = 4


def scores_told(found: Predicted) -> dict[str, Any]:
    """Precision, recall and F1 on annotated sentences, by type too."""
    return {"sentences": found.examples, "decoding": found.decoding, **found.score.as_json()}


def calibration_told(found: Predicted, data: Mapping[str, Any]) -> dict[str, Any]:
    """The temperature for entities that are right or wrong, and what it does; `data` says where they are from.

    `ece_after` is by parts (`cross_fit`). Without any entity the temperature is 1 and nothing is measured.
    """
    fitted = cross_fit(found.confidences, found.right, found.sentences)
    return {
        "temperature": round(fitted.temperature, _PLACES),
        "ece_before": round(fitted.before.ece, _PLACES), "ece_after": round(fitted.after.ece, _PLACES),
        "bins": fitted.before.bins, "folds": fitted.folds, "entities": fitted.before.entities,
        "sentences": found.examples, "decoding": found.decoding, "data": dict(data),
    }  # fmt: skip
