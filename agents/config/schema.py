"""The JSON schema of a configuration file, for editors."""

from __future__ import annotations

from typing import Any

from agents.config.model import Settings

_REFERENCE = {"type": "string", "pattern": r"\$\{"}


def json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a configuration file as it is written.

    It allows references to the environment where a number is wanted, and lets a file that
    extends another leave out what is required.
    """
    schema = _with_references(Settings.model_json_schema())
    required = schema.pop("required")
    schema["properties"] = {
        "extends": {
            "type": "string",
            "description": "Another configuration file, relative to this one, to begin from, "
            "or site:NAME for a site that comes with Pilothouse.",
        },
        **schema["properties"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Pilothouse configuration",
        "anyOf": [{"required": ["extends"]}, {"required": required}],
    }


def _with_references(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _with_references(value) for key, value in schema.items()}
    if "properties" in inner:
        inner["properties"] = {key: _or_empty(value) for key, value in inner["properties"].items()}
    if inner.get("type") not in ("number", "integer") and not _is_choice(inner):
        return inner
    about = {k: inner.pop(k) for k in ("description", "default", "title") if k in inner}
    return {**about, "anyOf": [inner, _REFERENCE]}


def _is_choice(schema: dict[str, Any]) -> bool:
    return "enum" in schema and schema.get("type") == "string"


def _or_empty(schema: dict[str, Any]) -> dict[str, Any]:
    """A section may be there and say nothing, where it may be left out."""
    if "$ref" not in schema:
        return schema
    return {
        **{k: v for k, v in schema.items() if k != "$ref"},
        "anyOf": [{"$ref": schema["$ref"]}, {"type": "null"}],
    }
