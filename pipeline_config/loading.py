"""From preset, file and flags to one validated configuration; every fault is listed at once, before anything heavy is imported."""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from pipeline_config.environment import expand_variables
from pipeline_config.errors import ConfigError
from pipeline_config.gates import expand_short_form
from pipeline_config.passing import OpenSection
from pipeline_config.pipeline import PipelineConfig

PresetName = Literal["demo", "smoke", "banking77", "replies"]
"""The presets in `presets/`. A literal, so that Prefect's form offers them as a list."""

PRESETS = Path(__file__).parent / "presets"
WHOLE = ".json"
"""Suffix of a file that holds a whole configuration."""
_LOCATION_KEYS = (
    ("data", "source", "path"),
    ("data", "source", "test_path"),
    ("data", "split", "benchmark_paths"),
    ("evaluation", "json_schema"),
)
_ELSEWHERE = re.compile(r"\$\{|hf:|[a-z][a-z0-9+.-]*://", re.IGNORECASE)
"""How a location begins that is no path: a variable (`_expand`), a data set of the hub, a URL."""
_FEW = 8
"""Names that a reader takes in at a glance."""


def load_config(preset: str = "demo", file: Path | None = None, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Lays a preset, a file and `KEY=VALUE` overrides over each other, in that order.

    Args:
        preset: name of a file in `presets/`.
        file: YAML with differences only. Relative paths in it start at its own folder. A file that ends with .json is a whole
            configuration, as each run keeps it in its `config.json`: the preset then counts for nothing.
        overrides: dotted keys, such as `training.epochs=1`; values are read as YAML. Relative paths start at the working directory.

    Raises:
        ConfigError: with every fault that was found.
    """
    faults: list[str] = []
    return _merge(_layers(preset, file, overrides, faults), faults)


def load_over(stored: Path, file: Path | None = None, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Lays a file and overrides over a whole configuration, as a run keeps it in its `config.json`.

    Raises:
        ConfigError: with every fault that was found.
    """
    faults: list[str] = []
    layers = [(str(stored), stored.absolute().parent, _read_yaml(stored)), *_changes(file, overrides, faults)]
    return _merge(layers, faults)


def _merge(layers: Iterable[tuple[str, Path, dict[str, Any]]], faults: list[str]) -> PipelineConfig:
    names: list[str] = []
    merged: dict[str, Any] = {}
    for name, base, layer in layers:
        names.append(name)
        layer = _expand(layer, faults)
        _anchor_paths(layer, base)
        merged = _overlay(merged, layer)
    where = " + ".join(names)
    try:
        config = PipelineConfig.model_validate(merged)
    except ValidationError as error:
        faults += [_describe(fault) for fault in error.errors()]
    if faults:
        raise ConfigError.of_faults(list(dict.fromkeys(faults)), where=where)
    return config


def config_digest(config: PipelineConfig) -> str:
    """SHA-256 of the configuration's canonical JSON."""
    return stored_config_digest(config.as_json())


def stored_config_digest(values: Mapping[str, Any]) -> str:
    """:func:`config_digest` of a configuration that was stored as JSON, whatever version of tunegate wrote it."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _layers(preset: str, file: Path | None, overrides: Sequence[str], faults: list[str]) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if file is not None and file.suffix == WHOLE:
        pass
    elif preset in known:
        yield f"preset {preset}", PRESETS, _read_yaml(PRESETS / f"{preset}.yaml")
    else:
        raise ConfigError(
            f"no preset is named {preset!r}", where="preset", expected=f"one of {', '.join(known)}", hint=_nearest(preset, known)
        )
    yield from _changes(file, overrides, faults)


def _changes(file: Path | None, overrides: Sequence[str], faults: list[str]) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    if file is not None:
        yield str(file), file.absolute().parent, _read_yaml(file)
    if overrides:
        yield "SET", Path.cwd(), _parse_overrides(overrides, faults)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError("the configuration file does not exist", where=str(path), hint="check CONFIG= or --config") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"the configuration file cannot be read: {error}", where=str(path), expected="a YAML mapping") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"got a {type(content).__name__}", where=str(path), expected="a YAML mapping at the top level")
    return content


def _parse_overrides(overrides: Sequence[str], faults: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator or not key.strip(".") or ".." in key:
            faults.append(f"{text!r}: expected KEY=VALUE with a dotted key, such as training.epochs=1")
            continue
        parsed: Any
        try:
            parsed = yaml.safe_load(value) if value else None
        except yaml.YAMLError:
            parsed = value
        if isinstance(parsed, str):
            parsed = _number(parsed)
        for part in reversed(key.split(".")):
            parsed = {part: parsed}
        result = _overlay(result, parsed, short_gates=False)
    return result


def _number(text: str) -> str | float:
    """YAML 1.1 reads `1e-4` as text; everybody means the number."""
    try:
        return float(text)
    except ValueError:
        return text


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any], *, short_gates: bool = True) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        inherited = result.get(key)
        if key == "gates" and short_gates and isinstance(value, dict):
            result[key] = expand_short_form(value, inherited if isinstance(inherited, dict) else {})
        elif isinstance(value, dict) and isinstance(inherited, dict):
            result[key] = _overlay(inherited, value, short_gates=False)
        else:
            result[key] = value
    return result


def _expand(value: Any, faults: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _expand(entry, faults) for key, entry in value.items()}
    if isinstance(value, list):
        return [_expand(entry, faults) for entry in value]
    if isinstance(value, str):
        expanded, missing = expand_variables(value)
        faults += [f"{value!r}: the environment variable {name} is not set" for name in missing]
        return expanded
    return value


def _anchor_paths(layer: dict[str, Any], base: Path) -> None:
    for *parents, leaf in _LOCATION_KEYS:
        section: Any = layer
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if isinstance(section, dict) and leaf in section:
            section[leaf] = _anchored(section[leaf], base)


def _anchored(location: Any, base: Path) -> Any:
    """A relative path starts at `base`; what is no text is left for validation to refuse, or is no path."""
    if isinstance(location, list):
        return [_anchored(entry, base) for entry in location]
    if not isinstance(location, str) or _ELSEWHERE.match(location):
        return location
    return str((base / Path(location).expanduser()).resolve())


def _describe(fault: Mapping[str, Any]) -> str:
    location = ".".join(str(part) for part in _without_tag(fault["loc"]))
    if fault["type"] == "extra_forbidden":
        parent, name = list(fault["loc"][:-1]), str(fault["loc"][-1])
        return f"{location}: unknown key{_suffix(_nearest(name, _keys_at(parent)))}"
    if fault["type"] == "missing":
        return f"{location}: required, but not given"
    message = str(fault["msg"]).removeprefix("Value error, ")
    shown = "" if fault["type"] == "refused" or isinstance(fault["input"], dict | PipelineConfig) else f" (got {fault['input']!r})"
    return f"{location}: {message}{shown}" if location else message


def _without_tag(path: Sequence[Any]) -> list[Any]:
    """Pydantic puts a gate's kind between its name and its field; nobody writes it there."""
    return [*path[:2], *path[3:]] if path and path[0] == "gates" and len(path) > 2 else list(path)


def _keys_at(path: Sequence[Any]) -> list[str]:
    """Names that the section at a location of pydantic's error takes, union tags included."""
    sections: list[type[BaseModel]] = [PipelineConfig]
    for part in path:
        followed = [inner for s in sections if part in s.model_fields for inner in _sections_in(s.model_fields[str(part)].annotation)]
        sections = followed or _of_kind(sections, part) or sections
    passed = {name for section in sections if issubclass(section, OpenSection) for name in section.names.all_names()}
    return sorted({name for section in sections for name in section.model_fields} | passed)


def _of_kind(sections: Sequence[type[BaseModel]], kind: Any) -> list[type[BaseModel]]:
    """The sections of a union that its tag means."""
    return [section for section in sections if "kind" in section.model_fields and kind in get_args(section.model_fields["kind"].annotation)]


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, dict, list, tuple) or hasattr(annotation, "__metadata__"):
        return [section for argument in get_args(annotation) for section in _sections_in(argument)]
    return []


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"it may have {', '.join(known)}" if len(known) <= _FEW else ""


def _suffix(hint: str) -> str:
    return f"; {hint}" if hint else ""
