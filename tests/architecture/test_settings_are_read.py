"""Every key of the configuration is read by something that acts on it.

A small inference over the syntax trees finds out which expressions are sections of the configuration (from annotations of parameters and
fields, from what functions return, and from assignments), and which of their fields are looked at. A name that is equal by chance counts
for nothing.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from pipeline_config.augmentation import OperatorConfig
from pipeline_config.methods import MethodSettings
from pipeline_config.passing import OpenSection
from pipeline_config.pipeline import PipelineConfig
from pipeline_config.training import METHOD_NAMES, SettledTraining, TrainingConfig
from tasks.methods import METHODS
from tasks.screening import KINDS

ROOT = Path(__file__).parents[2]
READERS = ("tasks", "flows", "deployments")

HANDED_ON = "for_peft"
"""A section's method that hands those of its keys to PEFT which PEFT has too."""

READ_OTHERWISE = {
    ("PipelineConfig", "environment"): "`production` refuses approval policy `auto` when the configuration is loaded",
    ("RegistryConfig", "requester_may_approve"): "taken from the version's stored configuration by `tasks.registry.verdict`",
    ("RegistryConfig", "require_authenticated_reviewer"): "likewise",
    ("LoraSettings", "preset"): "is short for `r`, which is filled in when the configuration is loaded",
    ("TrainingConfig", "custom"): "for methods of other packages",
    **{("SensitiveConfig", kind): "policies are looked up by the kind that was found" for kind in KINDS},
    **{
        (section.__name__, key): "taken by `tasks.methods.settings.settle` in place of a null"
        for section in MethodSettings.__subclasses__()
        for key in MethodSettings.model_fields
    },
    **{
        (section.__name__, key): "read of `OperatorConfig`, which all operators share"
        for section in OperatorConfig.__subclasses__()
        for key in ("ratio", "parts")
    },
    **{("TrainingConfig", method): "chosen by `training.method` in `tasks.methods.settings.settle`" for method in METHOD_NAMES},
}
"""Keys that are read in a way that this inference does not see. Each is tested where it is read."""

Classes = frozenset[str]
NONE: Classes = frozenset()


def sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, dict, list, tuple, Annotated):
        for argument in get_args(annotation):
            yield from sections_in(argument)


def sections_below(section: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield section
    for field in section.model_fields.values():
        for inner in sections_in(field.annotation):
            yield from sections_below(inner)


SECTIONS = {section.__name__: section for section in (*sections_below(PipelineConfig), SettledTraining)}


class Code:
    """What the modules declare: fields of classes and results of functions, as far as they are sections or hold some."""

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        self.fields: dict[str, dict[str, Classes]] = {
            name: {key: frozenset(inner.__name__ for inner in sections_in(field.annotation)) for key, field in section.model_fields.items()}
            for name, section in SECTIONS.items()
        }
        nodes = [node for tree in trees for node in ast.walk(tree)]
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        for found in classes:
            self.fields.setdefault(found.name, {})
        for found in classes:
            for line in found.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    self.fields[found.name][line.target.id] = self.named(line.annotation)
        self.returns: dict[str, Classes] = {}
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                self.returns[node.name] = self.returns.get(node.name, NONE) | self.named(node.returns)

    def named(self, annotation: ast.expr | None) -> Classes:
        """Classes of ours that an annotation mentions; a union of gates has a name of its own."""
        parts = list(ast.walk(annotation)) if annotation is not None else []
        words = {part.id for part in parts if isinstance(part, ast.Name)}
        words |= {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
        gates = self.fields["PipelineConfig"]["gates"] if "GateConfig" in words else NONE
        return frozenset(words & self.fields.keys()) | gates


class Reads(ast.NodeVisitor):
    """Collects (section, field) of one module."""

    def __init__(self, code: Code) -> None:
        self.code, self.found = code, set[tuple[str, str]]()
        self.names: dict[str, Classes] = {}
        self.own: dict[str, Classes] = {}

    def classes_of(self, node: ast.expr | None) -> Classes:
        """The classes that an expression may have, or that its members may have."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, NONE)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                return self.own.get(node.attr, NONE)
            return NONE.union(*(self.code.fields[holder].get(node.attr, NONE) for holder in self.classes_of(node.value)))
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):  # `gates.values()` holds what `gates` holds
                return self.classes_of(node.func.value)
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            return frozenset([called]) & self.code.fields.keys() | self.code.returns.get(called, NONE)
        if isinstance(node, ast.Subscript | ast.NamedExpr):
            return self.classes_of(node.value)
        if isinstance(node, ast.IfExp):
            return self.classes_of(node.body) | self.classes_of(node.orelse)
        if isinstance(node, ast.BoolOp):
            return NONE.union(*map(self.classes_of, node.values))
        return NONE

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer, self.names = self.names, dict(self.names)
        for argument in (*node.args.args, *node.args.kwonlyargs):
            self.names[argument.arg] = self.code.named(argument.annotation)
        self.generic_visit(node)
        self.names = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.own = dict(self.code.fields[node.name])
        self.generic_visit(node)
        self.own = {}

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.bind(target, node.value)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self.bind_each(node.target, node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.bind_each(node.target, node.iter)
        self.generic_visit(node)

    def visit_ListComp(self, node: Any) -> None:
        for generator in node.generators:  # they give the names that the element uses, and stand after it
            self.visit(generator)
        self.generic_visit(node)

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp  # noqa: N815

    def bind_each(self, target: ast.expr, values: ast.expr) -> None:
        """What a loop binds: of a tuple that is written out, each of its members."""
        for value in values.elts if isinstance(values, ast.Tuple) else [values]:
            self.bind(target, value)

    def bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=True) if isinstance(value, ast.Tuple) else ((part, value) for part in target.elts)
            for part, its_value in pairs:
                self.bind(part, its_value)
        elif isinstance(target, ast.Name):
            self.names[target.id] = self.classes_of(value)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
            self.own[target.attr] = self.classes_of(value)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        for name in self.classes_of(node.value) & SECTIONS.keys():
            section = SECTIONS[name]
            # A settled configuration has the fields of the one that it was made from.
            known_as = "TrainingConfig" if name == "SettledTraining" else name
            if node.attr in section.model_fields:
                self.found.add((known_as, node.attr))
            elif node.attr == HANDED_ON and issubclass(section, OpenSection):
                self.found.update((known_as, key) for key in section.model_fields.keys() & section.names.known().keys())
        self.generic_visit(node)


def reads(sources: Iterable[str]) -> set[tuple[str, str]]:
    trees = [ast.parse(source) for source in sources]
    code, found = Code(trees), set[tuple[str, str]]()
    for tree in trees:
        reader = Reads(code)
        reader.visit(tree)
        found |= reader.found
    return found


@cache
def read_in_the_code() -> set[tuple[str, str]]:
    return reads(sources())


def sources() -> list[str]:
    return [path.read_text(encoding="utf-8") for package in READERS for path in sorted((ROOT / package).rglob("*.py"))]


def keys(root: type[BaseModel] = PipelineConfig) -> set[tuple[str, str]]:
    """Every (section, key) of the configuration, but those of methods that are not there."""
    missing = {type(getattr(TrainingConfig(), method)).__name__ for method in set(METHOD_NAMES) - METHODS.keys()}
    return {(section.__name__, key) for section in sections_below(root) for key in section.model_fields if section.__name__ not in missing}


def unread(root: type[BaseModel] = PipelineConfig) -> list[tuple[str, str]]:
    return sorted(keys(root) - read_in_the_code() - READ_OTHERWISE.keys())


def test_every_key_is_read() -> None:
    print(f"{len(keys())} keys checked, {len(keys() & read_in_the_code())} of them seen to be read")
    assert len(keys() & read_in_the_code()) >= 80
    assert unread() == []


def test_what_is_said_to_be_read_otherwise_is_there() -> None:
    everything = {(section.__name__, key) for section in sections_below(PipelineConfig) for key in section.model_fields}
    assert READ_OTHERWISE.keys() <= everything


def test_fields_of_trainer_reach_it() -> None:
    called = {
        node.func.id
        for source in sources()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "trainer_fields" in called


def test_a_new_key_that_nothing_reads_is_found() -> None:
    wider = type("TrainingConfig", (TrainingConfig,), {"__annotations__": {"patience": int}, "patience": 3, "__module__": __name__})
    assert unread(wider) == [("TrainingConfig", "patience")]


def test_names_that_are_equal_by_chance_do_not_count() -> None:
    record = "class Held:\n    model: ModelConfig\n    other: Settings\n"
    use = "def f(held: Held, config: PipelineConfig, box):\n    m = box.model\n    return m.dtype, held.other.seed, config.model.revision\n"
    assert reads([record + use]) == {("PipelineConfig", "model"), ("ModelConfig", "revision")}


def test_keys_are_followed_through_names_records_results_and_loops() -> None:
    code = """
class Held:
    model: ModelConfig
    def __init__(self, config: PipelineConfig) -> None:
        self._config = config
    def of(self) -> int:
        training, seed = self._config.training, 1
        return training.seed
def held() -> Held: ...
def g(config: PipelineConfig, lora: LoraSettings):
    h = held()
    for name, gate in config.gates.items():
        print(h.model.dtype, gate.max_accuracy_gap)
    lora.for_peft()
    return [g.direction for g in config.gates.values()]
"""
    found = reads([code])
    assert {
        ("TrainingConfig", "seed"), ("ModelConfig", "dtype"), ("OverfittingGate", "max_accuracy_gap"), ("ThresholdGate", "direction"),
        ("LoraSettings", "r"),
    } <= found  # fmt: skip
    assert ("LoraSettings", "preset") not in found
