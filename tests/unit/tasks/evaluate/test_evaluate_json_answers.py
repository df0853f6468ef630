import json
from pathlib import Path
from typing import Any

import pytest

from pipeline_config.errors import ConfigError
from pipeline_config.evaluation import EvaluationConfig
from tasks.evaluate.json_answers import conforms, is_json, read_schema

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["queue"],
    "properties": {"queue": {"$ref": "#/$defs/queue"}},
    "$defs": {"queue": {"enum": ["vpn", "mail"]}},
}


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ('{"a": [1, null, "x"]}', True), (" 3\n", True), ("null", True), ('"x"', True),
        ("", False), ("{'a': 1}", False), ('{"a": 1} ok', False), ("NaN", False), ("[" * 100_000, False), ("9" * 5_000, False),
    ],
)  # fmt: skip
def test_one_value_and_nothing_else_is_json(text: str, valid: bool) -> None:
    assert is_json(text) is valid


def test_answers_are_held_to_the_schema_and_its_own_references() -> None:
    assert conforms(['{"queue": "vpn"}', '{"queue": "fax"}', "{}", "null", "{"], SCHEMA) == [True, False, False, False, False]


def test_the_draft_that_a_schema_names_is_the_one_that_counts() -> None:
    """`items` with a list means one item after another in draft 7, and is no schema since 2020-12."""
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}
    assert conforms(['["a", 1]', "[1]"], schema) == [True, False]
    with pytest.raises(ConfigError, match="no JSON schema"):
        read_schema(EvaluationConfig(json_schema={"items": [{"type": "string"}]}))


def test_a_schema_comes_from_a_file_or_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    assert read_schema(EvaluationConfig(json_schema=str(tmp_path / "schema.json"))) == SCHEMA
    assert read_schema(EvaluationConfig(json_schema=SCHEMA)) == SCHEMA
    assert read_schema(EvaluationConfig()) is None


@pytest.mark.parametrize(("content", "message"), [("{", "cannot be read"), ("[]", "got a list"), ('{"type": "objekt"}', "no JSON schema")])
def test_a_file_that_holds_no_schema_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_schema(EvaluationConfig(json_schema=str(tmp_path / "schema.json")))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_schema(EvaluationConfig(json_schema=str(tmp_path / "schema.json")))


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/schema.json", "other.json"])
def test_a_schema_that_would_have_to_be_fetched_is_refused(target: str) -> None:
    schema: dict[str, Any] = {"allOf": [{"properties": {"a": {"$ref": target}}}]}
    with pytest.raises(ConfigError, match="refers to"):
        read_schema(EvaluationConfig(json_schema=schema))
