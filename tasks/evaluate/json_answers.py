"""Whether an answer is JSON, and whether it conforms to a schema. Nothing is fetched: a schema may refer to itself only."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline_config.errors import ConfigError
from pipeline_config.evaluation import EvaluationConfig

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def is_json(text: str) -> bool:
    """Whether a text is one JSON value by RFC 8259, white space around it aside: without NaN, without a fence of Markdown."""
    return _parsed(text) is not _NOTHING


def conforms(answers: Sequence[str], schema: Mapping[str, Any]) -> list[bool]:
    """Which answers are JSON that a schema allows."""
    check = _validator(schema)
    return [(value := _parsed(text)) is not _NOTHING and check.is_valid(value) for text in answers]


def read_schema(config: EvaluationConfig) -> dict[str, Any] | None:
    """The schema that the configuration holds or names; null if it names none.

    Raises:
        ConfigError: the file cannot be read, it is no JSON schema, or it refers to another document.
    """
    where, given = "evaluation.json_schema", config.json_schema
    if given is None:
        return None
    schema = _from_file(Path(given), where) if isinstance(given, str) else dict(given)
    from jsonschema.exceptions import SchemaError

    try:
        type(_validator(schema)).check_schema(schema)
    except SchemaError as error:
        place = "/".join(map(str, error.absolute_path)) or "its top"
        raise ConfigError(f"it is no JSON schema: {error.message}", where=f"{where}, {place}", expected="a valid JSON schema") from error
    if outside := next((target for target in _targets(schema) if not target.startswith("#")), None):
        raise ConfigError(
            f"the schema refers to {outside!r}", where=where, expected="references that start with # and stay within the schema",
            hint="copy what it refers to below $defs",
        )  # fmt: skip
    return schema


class _Nothing:
    """Stands for no value: null is one."""


_NOTHING = _Nothing()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _NOTHING


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _from_file(path: Path, where: str) -> dict[str, Any]:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the schema cannot be read: {error}", where=f"{where}: {path}", expected="a JSON file") from error
    if not isinstance(schema, dict):
        raise ConfigError(f"got a {type(schema).__name__}", where=f"{where}: {path}", expected="a JSON object")
    return schema


def _validator(schema: Mapping[str, Any]) -> Any:
    """By the draft that the schema names, the latest if it names none."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry

    registry: Any = Registry()  # an empty one: the library's own would fetch what a reference names
    return validator_for(dict(schema), default=Draft202012Validator)(dict(schema), registry=registry)


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _REFERENCES and isinstance(inner, str):
                yield inner
            else:
                yield from _targets(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _targets(inner)
