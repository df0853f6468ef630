"""How the shipped checkpoint fits: training, validation and test rows against each other, and what of the base's abilities is left."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.pages.display import number, percent
from tasks.report.figures import value_text
from tasks.report.lineage import Fact
from tasks.report.material import Material


@dataclass(frozen=True)
class Category:
    """One part of the general suite: shares of its questions that base and tuned have right, as text."""

    name: str
    questions: int
    base: str
    tuned: str


def fit_of(material: Material) -> dict[str, Any]:
    """What the page says of overfitting and forgetting. A part of the evaluation that was not measured is left out."""
    gates = material.report.gates if material.report else ()
    measured = material.evaluated.model_dump(mode="json")
    kinds = {kind: [gate for gate in gates if gate.kind == kind] for kind in ("overfitting", "forgetting")}
    retention = measured.get("retention") or {}
    return {
        "fit_facts": [*_accuracies(material), *_losses(measured.get("fit")), *numbers_in(measured.get("wording"), "Loss on ")],
        "categories": _categories(retention.get("categories") or ()),
        "retention_facts": _text(retention.get("text")),
        **kinds,
    }


def numbers_in(values: Mapping[str, Any] | None, lead: str = "") -> list[Fact]:
    """Every number of a record under its own name, for records of which the page knows nothing else."""
    found = {} if values is None else values
    named = [(name, value) for name, value in found.items() if isinstance(value, int | float) and not isinstance(value, bool)]
    return [Fact(name=f"{lead}{name.replace('_', ' ')}".capitalize(), value=value_text(value)) for name, value in named]


def _accuracies(material: Material) -> list[Fact]:
    seen, test = material.evaluated.tuned_train_accuracy, material.evaluated.tuned.get("accuracy")
    if seen is None or test is None or not material.labelled:
        return []
    return [
        Fact(name="Right on training rows", value=percent(seen), note="a sample of them"),
        Fact(name="Right on test rows", value=percent(test), note=f"a gap of {value_text(seen - test, signed=True)}"),
    ]


def _losses(fit: Mapping[str, Any] | None) -> list[Fact]:
    """Of the checkpoint that ships, on the rows of each side, measured alike."""
    sides = {side: found for side, found in (fit or {}).items() if isinstance(found, Mapping) and found.get("loss") is not None}
    return [
        Fact(name=f"Loss, {side} rows", value=value_text(found["loss"]), note=f"{number(found['rows'])} rows")
        for side, found in sides.items()
    ]


def _categories(found: Sequence[Mapping[str, Any]]) -> list[Category]:
    asked = [part for part in found if part.get("questions")]
    return [
        Category(part["name"], part["questions"], *(percent(part[who] / part["questions"]) for who in ("base_right", "tuned_right")))
        for part in asked
    ]


def _text(text: Mapping[str, Any] | None) -> list[Fact]:
    """Perplexity on general text, of both and as a ratio; blocks have equal numbers of tokens, so the mean of losses is the text's."""
    if not text:
        return []
    means = {who: _mean(text.get(who) or ()) for who in ("base", "tuned")}
    base, tuned = means["base"], means["tuned"]
    if base is None or tuned is None:
        return []
    tokens, ratio = number(text.get("block_tokens", 0) * len(text["base"])), value_text(math.exp(tuned - base))
    name = "Perplexity on general text, "
    return [
        Fact(name=f"{name}base", value=value_text(math.exp(base)), note=f"{tokens} tokens of {text.get('source', 'it')}"),
        Fact(name=f"{name}tuned", value=value_text(math.exp(tuned)), note=f"{ratio} times the base's"),
    ]


def _mean(losses: Sequence[float | None]) -> float | None:
    known = [loss for loss in losses if loss is not None]
    return sum(known) / len(known) if known and len(known) == len(losses) else None
