"""Settings that go to a library under its own names, checked without importing the library.

`known_fields.json` lists each class's fields; `python -m tasks.methods.known_fields` writes it from the installed versions.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, JsonValue, ModelWrapValidatorHandler, TypeAdapter, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError

from pipeline_config.base import Section

KNOWN_FIELDS = Path(__file__).parent / "known_fields.json"

_TYPES: dict[str, Any] = {
    "bool": bool, "int": int, "float": float, "str": str, "dict": dict[str, JsonValue], "null": None, "any": JsonValue,
    "list[str]": list[str], "list[int]": list[int], "list[any]": list[JsonValue],
}  # fmt: skip


class Refused(ValueError):
    """A name that is never passed on."""


@dataclass(frozen=True)
class Mapped:
    """What an older name means here: the keys that it sets, and the sentence that says so."""

    keys: Mapping[str, Any]
    note: str


@dataclass(frozen=True)
class Names:
    """Which names a section takes besides its own.

    Attributes:
        library_class: class in `known_fields.json` whose fields pass through; null: none do.
        refused: names that are never passed on, each with the reason.
        held: values that some refused names have here anyway; saying so is no fault.
        older: names of earlier versions. Each takes the value and says what it means; ValueError: that value means nothing here.
    """

    library_class: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, Any] = field(default_factory=dict)
    older: Mapping[str, Callable[[Any], Mapped]] = field(default_factory=dict)

    def known(self) -> Mapping[str, Mapping[str, Any]]:
        """Fields of the library's class: type, default and, for some, the values that it allows."""
        fields: Mapping[str, Mapping[str, Any]] = _known_fields()[self.library_class] if self.library_class is not None else {}
        return fields

    def all_names(self) -> set[str]:
        """Every name that is more than a misspelling."""
        return {*self.known(), *self.refused, *self.older}

    def check(self, name: str, value: Any) -> Any:
        """The value as the library takes it.

        Raises:
            Refused: the name is not passed on; a ValueError too.
            ValueError: the value is not of the field's type.
        """
        if name in self.refused:
            if name in self.held and value == self.held[name]:
                return value
            raise Refused(f"not taken: {self.refused[name]}")
        if name in self.older:
            self.older[name](value)
            return value
        return _of_type(value, self.known()[name])


class OpenSection(Section):
    """A section that takes the fields of a library's class besides its own. All faults of all its keys are raised at once."""

    model_config = ConfigDict(extra="allow")
    names: ClassVar[Names] = Names()

    @model_validator(mode="wrap")
    @classmethod
    def _check_passed_names(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(values, dict):
            return handler(values)
        faults: list[InitErrorDetails] = []
        accepted = {name: value for name, value in values.items() if name in cls.model_fields}
        for name, value in values.items():
            if name not in cls.model_fields:
                try:
                    accepted[name] = cls._checked(name, value, values)
                except (ValueError, PydanticKnownError) as error:
                    faults.append(_fault(name, value, error))
        try:
            section = handler(accepted)
        except ValidationError as error:
            raise ValidationError.from_exception_data(cls.__name__, [*map(_again, error.errors()), *faults]) from None
        if faults:
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return section

    @classmethod
    def _checked(cls, name: Any, value: Any, values: Mapping[Any, Any]) -> Any:
        if name not in cls.names.all_names():
            raise PydanticKnownError("extra_forbidden")
        read = cls.names.check(name, value)
        for key, meant in (cls.names.older[name](value).keys if name in cls.names.older else {}).items():
            untouched = (None, meant, cls.model_fields[key].default if key in cls.model_fields else None)
            if values.get(key) not in untouched:
                raise ValueError(f"`{key}` and `{name}` are the same setting: give one")
        return read

    def passed(self) -> dict[str, Any]:
        """What was given under the library's names, for the library."""
        own = {*self.names.older, *self.names.refused}
        return {name: value for name, value in (self.model_extra or {}).items() if name not in own}

    def mapped(self) -> dict[str, Mapped]:
        """What was given under older names, and what it means."""
        return {name: self.names.older[name](value) for name, value in (self.model_extra or {}).items() if name in self.names.older}


def _fault(name: Any, value: Any, error: Exception) -> InitErrorDetails:
    if isinstance(error, PydanticKnownError):
        return InitErrorDetails(type="extra_forbidden", loc=(str(name),), input=value)
    # What is refused may be a secret, such as a token: it is not repeated.
    shown = None if isinstance(error, Refused) else value
    kind = PydanticCustomError("refused" if isinstance(error, Refused) else "not_passed", "{text}", {"text": str(error)})
    return InitErrorDetails(type=kind, loc=(str(name),), input=shown)


def _again(fault: Any) -> InitErrorDetails:
    """A fault that pydantic has reported, as one that can be raised once more."""
    kind: Any = fault["type"]
    if kind not in ("extra_forbidden", "missing"):
        kind = PydanticCustomError(kind, "{text}", {"text": fault["msg"]})
    return InitErrorDetails(type=kind, loc=fault["loc"], input=fault["input"])


def _of_type(value: Any, known: Mapping[str, Any]) -> Any:
    kinds = known["type"].split(" | ")
    if "object" in kinds:
        raise ValueError("not taken: it holds an object of Python, which a configuration cannot")
    try:
        if isinstance(value, bool) and not {"bool", "any"} & set(kinds):
            raise ValueError(f"expected {known['type']}")
        read = _adapter(known["type"]).validate_python(value)
    except ValidationError:
        raise ValueError(f"expected {known['type']}") from None
    allowed = known.get("values")
    if allowed and isinstance(read, str) and not any(re.fullmatch(_pattern(text), read) for text in allowed):
        close = difflib.get_close_matches(read, allowed, n=1)
        raise ValueError(f"expected one of {', '.join(allowed)}" + (f"; did you mean `{close[0]}`?" if close else ""))
    return read


def _pattern(text: str) -> str:
    """PEFT writes a number that is free as `pissa_niter_[number of iters]`."""
    return r"\d+".join(re.escape(part) for part in re.split(r"\[.*?\]", text))


@cache
def _adapter(kinds: str) -> TypeAdapter[Any]:
    found: Any = None
    for position, kind in enumerate(kinds.split(" | ")):
        found = _TYPES[kind] if position == 0 else found | _TYPES[kind]
    return TypeAdapter(found, config=ConfigDict(allow_inf_nan=False))


@cache
def _known_fields() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(KNOWN_FIELDS.read_text(encoding="utf-8"))
    return content
