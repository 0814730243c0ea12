"""Presidio's analyzer: `POST /analyze`, `GET /supportedentities` and `/health`.

Source: presidio-analyzer 2.2.366, `app.py` (`Server.analyze` and others), `analyzer_request.py`, `conf/default.yaml`
(names of types). A type has Presidio's name or the model's, whatever its case and `_`; a model with labels at run time
finds any. Types that the model doesn't know are left out, if it knows one of them. Requests that would hide entities
from a caller are refused: custom recognizers, regular expressions. Other parameters have no effect.
"""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, Field

from nerbert.entity_labels import asked_types, label_of, presidio_name
from nerbert.errors import InputError
from nerbert.records import EntityLabel
from nerbert.sentences import SEVERAL_LANGUAGES
from nerbert.serve.protocol import Call, Query, Strings, refuse
from nerbert.serve.service import Ask, Served
from nerbert.tagger.tagger import Tagger


class PresidioRequest(BaseModel):
    """A text or several, their language, and the types to find."""

    text: str | Strings
    language: str = Field(max_length=20)
    entities: Strings | None = None
    score_threshold: float | None = Field(None, ge=0, le=1)
    ad_hoc_recognizers: list[Any] | None = None
    allow_list: list[str] | None = None
    allow_list_match: Literal["exact", "regex"] | None = None


class LanguageQuery(Query):
    """The requested language."""

    language: str = Field("", max_length=20)


async def analyze(call: Call) -> list[Any]:
    """Find entities, as Presidio's analyzer does."""
    body: PresidioRequest = call.body
    # Ignoring these would leave personal data in a text that seems clean.
    refuse("ad_hoc_recognizers", body.ad_hoc_recognizers, "this server has only its models; leave it out")
    refuse("allow_list_match", body.allow_list_match == "regex" and body.allow_list and "regex", "use exact matches")
    served = _find_model(call, body.language)
    names = _known_labels(served, body.entities) if body.entities else {}
    texts = body.text if isinstance(body.text, list) else [body.text]
    allowed = set(body.allow_list or ())
    ask = Ask(served.name, [EntityLabel(name) for name in names] or None, body.score_threshold)
    results = [
        [
            {
                "entity_type": names.get(span.type) or presidio_name(span.type),
                "start": span.start,
                "end": span.end,
                "score": span.confidence,
                "analysis_explanation": None,
            }
            for span in spans
            if span.text not in allowed
        ]
        for spans in await call.tag(texts, ask)
    ]
    return results if isinstance(body.text, list) else results[0]


def _known_labels(served: Served, names: Strings) -> dict[str, str]:
    labels = asked_labels(served, names)
    # None of the types is known: an empty answer would look like a text without them.
    if not labels:
        raise InputError(
            f"entities: the model {served.name} finds none of {', '.join(names)!r:.200}; see /supportedentities"
        )
    return labels


def _find_model(call: Call, language: str) -> Served:
    """Return the named model, or the first one of the language."""
    if call.query.model:
        return call.service.find(call.query.model)
    # A model of exactly this language first, then one of several languages.
    for reads in (lambda tagger: tagger.language == language, _reads_all):
        for served in call.service.models.values():
            if reads(served.tagger):
                return served
    languages = ", ".join(sorted({served.tagger.language for served in call.service.models.values()}))
    raise InputError(
        f"language {language!r:.40}: the models here are for {languages}; for another language name a "
        "model in the address (?model=NAME)"
    )


def _reads_all(tagger: Tagger) -> bool:
    return tagger.language == SEVERAL_LANGUAGES


def asked_labels(served: Served, names: Iterable[str]) -> dict[str, str]:
    """Return the labels to find by a client's names of types; fixed types that the model lacks are left out."""
    return {label_of(name): name for name in names} if served.takes_labels else asked_types(served.tagger.types, names)


async def list_types(call: Call) -> list[str]:
    """Return the names of types, as Presidio's analyzer does."""
    taggers = (served.tagger for served in call.service.models.values())
    of_language = [tagger for tagger in taggers if call.query.language in ("", tagger.language) or _reads_all(tagger)]
    return sorted({presidio_name(type_) for tagger in of_language for type_ in tagger.types})
