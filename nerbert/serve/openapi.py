"""The description of a server's operations (OpenAPI 3.1), made from the types that check its bodies."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter

from nerbert import __version__
from nerbert.serve.answers import Refusal
from nerbert.serve.protocol import Operation

_LINES, _JSON = "application/x-ndjson", "application/json"


def describe(operations: Sequence[Operation], *, token: bool) -> dict[str, Any]:
    """Return the description of operations; `token`: whether they need one."""
    kinds: dict[str, Any] = {"fault": Refusal}
    for each in operations:
        kinds |= {f"{each.method} {each.path} body": each.body, f"{each.method} {each.path} answer": each.answer}
    adapters = [(name, "validation", TypeAdapter(kind)) for name, kind in kinds.items() if kind is not None]
    by_mode, parts = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas: dict[str, Any] = {name: schema for (name, _), schema in by_mode.items()}
    paths = dict[str, dict[str, Any]]()
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas, token=token and not each.open)
    return {
        "openapi": "3.1.0",
        "info": {"title": "nerbert", "version": __version__,
                 "description": "Named entities in text. Places count code points, unless `offsets` says otherwise."},
        "paths": paths,
        "components": {"schemas": parts.get("$defs", {}),
                       "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }  # fmt: skip


def _operation(one: Operation, schemas: Mapping[str, Any], *, token: bool) -> dict[str, Any]:
    media, name = _LINES if one.streams else _JSON, f"{one.method} {one.path}"
    found: dict[str, Any] = {
        "summary": one.summary, "operationId": name.replace("/", " ").replace("{", "").replace("}", ""),
        "parameters": [*_in_path(one.path), *_in_query(one.query)],
        "responses": {
            "200": {"description": "The answer", **_content(media, schemas.get(f"{name} answer"))},
            "default": {"description": "An error", **_content(_JSON, schemas["fault"])},
        },
    }  # fmt: skip
    if one.body is not None:
        found["requestBody"] = {"required": True, **_content(media, schemas[f"{name} body"], one.examples)}
    if token:
        found["security"] = [{"token": []}]
    return found


def _content(media: str, schema: Any, examples: Mapping[str, Any] | None = None) -> dict[str, Any]:
    shown = {"examples": {name: {"value": value} for name, value in examples.items()}} if examples else {}
    return {"content": {media: {"schema": schema, **shown}}} if schema else {}


def _in_path(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(query: type[BaseModel]) -> list[dict[str, Any]]:
    properties = query.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()]
