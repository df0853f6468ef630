"""Writes the list of library fields that the configuration takes: `python -m tasks.methods.known_fields`, after a new lock file.

The configuration is checked against that list, so that no check has to import torch.
"""

import dataclasses
import importlib.metadata
import json
import types
import typing
from enum import Enum
from typing import Any

from pipeline_config.passing import KNOWN_FIELDS

_SCALARS = {bool: "bool", int: "int", float: "float", str: "str", dict: "dict", type(None): "null", Any: "any"}


def generate() -> dict[str, Any]:
    """The list as JSON values: for each class its fields, each with type, default and, where only some are allowed, values."""
    import peft
    import transformers

    classes = (transformers.TrainingArguments, peft.LoraConfig, peft.PrefixTuningConfig, peft.PromptTuningConfig, peft.IA3Config)
    versions = {name: importlib.metadata.version(name) for name in ("transformers", "peft")}
    return {"generated_from": versions, **{found.__name__: _fields(found) for found in classes}}


def as_text(known: dict[str, Any]) -> str:
    """One line a field, so that a new version shows in a diff."""
    blocks = []
    for name, entries in known.items():
        lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items())
        blocks.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def _fields(found: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(found)
    return {field.name: _field(field, hints[field.name]) for field in dataclasses.fields(found) if field.init}


def _field(field: Any, annotation: Any) -> dict[str, Any]:
    kinds, values = _describe(annotation)
    values += [choice for choice in field.metadata.get("choices") or [] if isinstance(choice, str)]
    # An object beside plain types is a convenience for Python; alone, it cannot be written in YAML.
    plain = kinds - {"object"} if kinds - {"object", "null"} else kinds
    entry: dict[str, Any] = {"type": " | ".join(sorted(plain, key=lambda kind: (kind == "null", kind)))}
    default = field.default_factory() if field.default is dataclasses.MISSING and callable(field.default_factory) else field.default
    entry["default"] = default.value if isinstance(default, Enum) else default
    if not isinstance(entry["default"], str | int | float | bool | list | dict | None):
        entry["default"] = None
    if values:
        entry["values"] = list(dict.fromkeys(values))
    return entry


def _describe(annotation: Any) -> tuple[set[str], list[str]]:
    """Names of the plain types in an annotation, and the texts that it allows if it names them."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        parts = [_describe(argument) for argument in arguments]
        return set().union(*(kinds for kinds, _ in parts)), [value for _, values in parts for value in values]
    if origin is typing.Literal:
        return {_SCALARS[type(value)] for value in arguments}, [value for value in arguments if isinstance(value, str)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"str"}, [member.value for member in annotation if isinstance(member.value, str)]
    if origin is list:
        return {f"list[{_item(arguments[0])}]"}, []
    if origin is dict:
        return {"dict"}, []
    return {_SCALARS.get(annotation, "object")}, []


def _item(annotation: Any) -> str:
    kinds, _ = _describe(annotation)
    return kinds.pop() if len(kinds) == 1 and kinds <= {"int", "str", "float"} else "any"


def main() -> None:
    """Writes the file."""
    KNOWN_FIELDS.write_text(as_text(generate()), encoding="utf-8")


if __name__ == "__main__":
    main()
