"""INCEpTION's external recommender, a protocol for `nerbert serve`: `POST /inception/predict`.

It needs `pip install 'nerbert[serve]' dkpro-cassis` (docs/how-to/annotation-servers.md).
Source: INCEpTION, `inception-imls-external`, `v1/ExternalRecommender.java`, and its developer guide. Documents are sent
as XMI, which dkpro-cassis reads, with UTF-16 offsets. Training isn't supported.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Literal

import cassis
from pydantic import BaseModel, Field

from nerbert.errors import InputError
from nerbert.serve.protocol import Call, LabelQuery, Operation
from nerbert.tagger.spans import Spans

_TOKEN = "de.tudarmstadt.ukp.dkpro.core.api.segmentation.type.Token"
_PREDICTED = "inception_internal_predicted"
EXAMPLE = {
    "metadata": {"layer": "Entity", "feature": "value", "anchoringMode": "characters"},
    "document": {
        "xmi": '<xmi:XMI xmlns:xmi="http://www.omg.org/XMI" xmlns:cas="http:///uima/cas.ecore"><cas:Sofa xmi:id="1" '
        'sofaNum="1" sofaID="_InitialView" sofaString="Ada Lovelace came to London."/></xmi:XMI>'
    },
    "typeSystem": '<typeSystemDescription xmlns="http://uima.apache.org/resourceSpecifier"><types><typeDescription>'
    "<name>Entity</name><supertypeName>uima.tcas.Annotation</supertypeName><features><featureDescription><name>value"
    "</name><rangeTypeName>uima.cas.String</rangeTypeName></featureDescription><featureDescription><name>"
    f"{_PREDICTED}</name><rangeTypeName>uima.cas.Boolean</rangeTypeName></featureDescription></features>"
    "</typeDescription></types></typeSystemDescription>",
}


class RecommenderMetadata(BaseModel):
    """The layer and the feature to fill, and the units at which annotations may begin and end."""

    layer: str
    feature: str
    anchoring: Literal["characters", "singleToken", "tokens", "sentences"] = Field("tokens", alias="anchoringMode")


class RecommenderDocument(BaseModel):
    """A document as XMI."""

    xmi: str


class RecommenderRequest(BaseModel):
    """A document, its type system, and the annotations to add to it."""

    metadata: RecommenderMetadata
    document: RecommenderDocument
    type_system: str = Field(alias="typeSystem")


def operations() -> Sequence[Operation]:
    """Return the routes of INCEpTION's external recommender."""
    return [
        Operation(
            path="/inception/predict",
            run=predict,
            body=RecommenderRequest,
            query=LabelQuery,
            examples={"an example": EXAMPLE},
        )
    ]


async def predict(call: Call) -> dict[str, str]:
    """Recommend annotations, as INCEpTION's external recommender does."""
    body: RecommenderRequest = call.body
    cas = await asyncio.to_thread(_read_document, body)
    (spans,) = await call.tag([cas.sofa_string or ""], call.query.ask())
    return {"document": await asyncio.to_thread(_annotate, cas, body.metadata, spans)}


def _read_document(body: RecommenderRequest) -> Any:
    for name, xml in (("typeSystem", body.type_system), ("document.xmi", body.document.xmi)):
        if "<!DOCTYPE" in xml:
            raise InputError(f"{name}: a DOCTYPE isn't allowed")
    try:
        types = cassis.load_typesystem(body.type_system)
        cas = cassis.load_cas_from_xmi(body.document.xmi, types)
        layer = types.get_type(body.metadata.layer)
    except Exception as error:  # cassis has no exception classes
        raise InputError(f"the document or its type system can't be read: {error!r:.200}") from error
    if lacking := {body.metadata.feature, _PREDICTED} - {feature.name for feature in layer.all_features}:
        raise InputError(f"the layer {layer.name} has no feature {', '.join(sorted(lacking))}")
    return cas


def _annotate(cas: Any, metadata: RecommenderMetadata, spans: Spans) -> str:
    """Return a document with the entities, extended to whole tokens unless characters are annotated."""
    layer = cas.typesystem.get_type(metadata.layer)
    score = f"{metadata.feature}_score"
    scored = any(feature.name == score for feature in layer.all_features)
    grows = metadata.anchoring != "characters" and cas.typesystem.contains_type(_TOKEN)
    tokens = cas.select(_TOKEN) if grows else []
    begins, ends = [token.begin for token in tokens], [token.end for token in tokens]
    for span in spans:
        first, last = bisect_right(ends, span.start), bisect_left(begins, span.end)
        begin, end = (begins[first], ends[last - 1]) if first < last else (span.start, span.end)
        values = {"begin": begin, "end": end, metadata.feature: span.type, _PREDICTED: True}
        cas.add(layer(**values, **({score: span.confidence} if scored else {})))
    xmi: str = cas.to_xmi()
    return xmi
