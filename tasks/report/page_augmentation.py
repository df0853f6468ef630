"""What augmentation added, what was refused and why, and what an ablation found each operator to be worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.artifacts import AblationArm, ArmMetric, Augmentation, OperatorCounts
from tasks.pages.display import counted, number, percent
from tasks.report.figures import interval_text, value_text

_METRICS: dict[ArmMetric, str] = {
    "exact_match": "Share of validation rows answered exactly",
    "loss": "Loss of the expected answers of validation rows, in nats a token",
}
_SHOWN = 6
"""Reasons that are named; the others are added up."""


@dataclass(frozen=True)
class OperatorLine:
    """One operator, as text; `off` says why it did not work, and then there are no numbers."""

    name: str
    asked: str
    accepted: str
    similarity: str
    refused: str
    off: str = ""


@dataclass(frozen=True)
class ArmLine:
    """One operator against training without any, as text."""

    name: str
    rows: str
    without: str
    value: str
    lift: str
    kept: bool


def augmentation_of(augmentation: Augmentation | None) -> dict[str, Any]:
    """What the page shows; nothing if no operator was on."""
    if augmentation is None:
        return {"operators": (), "arms": ()}
    ablation = augmentation.ablation
    return {
        "added": counted(augmentation.rows, "reworded training row was", "reworded training rows were"),
        "operators": [_line(counts) for counts in augmentation.operators],
        "arms": [_arm(arm) for arm in ablation.arms] if ablation is not None else (),
        "arm_steps": ablation.steps if ablation is not None else 0,
        "arm_metric": _METRICS[ablation.metric] if ablation is not None else "",
    }


def _line(counts: OperatorCounts) -> OperatorLine:
    name = counts.name.replace("_", " ")
    if counts.missing is not None:
        return OperatorLine(name, "", "", "", "", counts.missing.partition(": ")[2])
    if counts.dropped is not None:
        return OperatorLine(name, "", "", "", "", f"no measured lift: {counts.dropped}")
    share = f" ({percent(counts.accepted / counts.asked)})" if counts.asked else ""
    return OperatorLine(
        name=name, asked=number(counts.asked), accepted=f"{number(counts.accepted)}{share}", similarity=value_text(counts.similarity),
        refused=", ".join(_reasons(list(counts.rejected.items()))),
    )  # fmt: skip


def _reasons(rejected: Sequence[tuple[str, int]]) -> list[str]:
    named = [f"{reason} {number(count)}" for reason, count in rejected[:_SHOWN]]
    rest = sum(count for _, count in rejected[_SHOWN:])
    return [*named, *([f"for other reasons {number(rest)}"] if rest else [])]


def _arm(arm: AblationArm) -> ArmLine:
    lift = f"{value_text(arm.lift, signed=True)} {interval_text(arm.interval, signed=True)}"
    return ArmLine(arm.name.replace("_", " "), number(arm.rows), value_text(arm.without), value_text(arm.value), lift, arm.kept)
