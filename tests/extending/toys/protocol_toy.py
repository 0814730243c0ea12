"""A protocol of one's own: the entities of a text as lines of `type<tab>text`, asked by POST or by GET."""

from collections.abc import Sequence

from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from nerbert.serve.protocol import Call, LabelQuery, Operation


class Body(BaseModel):
    """What is sent."""

    content: str


class TextQuery(LabelQuery):
    """What is in the address."""

    content: str = Field("", max_length=1000)


def operations() -> Sequence[Operation]:
    return [
        Operation(path="/lines", run=from_body, body=Body, query=LabelQuery, summary="Entities, a line each",
                  examples={"a text": {"content": "Ada Lovelace came to London."}}),
        Operation(path="/lines", method="GET", run=from_address, query=TextQuery, summary="Entities, a line each"),
    ]  # fmt: skip


async def from_body(call: Call) -> PlainTextResponse:
    return await lines(call, call.body.content)


async def from_address(call: Call) -> PlainTextResponse:
    return await lines(call, call.query.content)


async def lines(call: Call, text: str) -> PlainTextResponse:
    (spans,) = await call.tag([text], call.query.ask())
    return PlainTextResponse("".join(f"{each.type}\t{each.text}\n" for each in spans))
