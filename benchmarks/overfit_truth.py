"""What is true of a run, what the verdict says of it, and how the two compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.overfit_records import Stored
from benchmarks.overfit_runs import KINDS
from tasks.artifacts import CurvePoint, Fit
from tasks.evaluate.fit import RowLoss, fit_of
from tasks.evaluate.overfitting import Evidence, Overfitting, Severity, judge_overfitting, leak_share

TRULY_MILD, TRULY_SEVERE = 1.05, 1.20
"""Loss of the shipped checkpoint on rows that the verdict is not told of, over the smallest of all checkpoints: the definition."""

NEAR = (1.1, 1.3)
"""A true rebound so near the line that a few dozen validation rows cannot tell its sides apart for sure."""


@dataclass(frozen=True)
class Judged:
    """One run. `true_rebound` is what the verdict's `rebound` estimates."""

    kind: str
    number: int
    true_rebound: float
    found: Overfitting
    leak: float
    leak_share: float

    @property
    def truth(self) -> Severity:
        """The severity by definition."""
        return "severe" if self.true_rebound >= TRULY_SEVERE else "mild" if self.true_rebound >= TRULY_MILD else "none"

    @property
    def closed(self) -> bool:
        """Whether the gate does not pass."""
        return self.found.severity in ("severe", "unknown")

    @property
    def wrong(self) -> bool:
        """Whether the verdict stands on the wrong side of the gate."""
        return self.closed != (self.truth == "severe")


def judge_record(stored: Stored) -> Judged:
    """Judges a stored run by what a pipeline's evaluation would have had."""
    return judge_kept(kept_of(stored))


def evidence_of(stored: Stored) -> Evidence:
    """The evidence, without anything of the truth."""
    shipped = stored["measured"]["shipped"]
    train, validation, test = (_losses(shipped[side]) for side in ("train", "validation", "test"))
    curve = tuple(CurvePoint.model_validate(point) for point in stored["curve"])
    return Evidence(
        method=stored["run"]["method"], curve=curve, shipped_step=stored["shipped_step"], fit=fit_of(train, validation, test),
        train_accuracy=_share(shipped["train"]["right"]), test_accuracy=_share(shipped["test"]["right"]),
    )  # fmt: skip


def kept_of(stored: Stored) -> dict[str, Any]:
    """A run as the results keep it: its name, the truth, and the evidence, without a number of any single row."""
    evidence, run = evidence_of(stored), stored["run"]
    assert evidence.fit is not None
    return {
        "kind": run["kind"], "number": run["number"], "leak": run["leak"], "true_rebound": true_rebound(stored), "method": evidence.method,
        "shipped_step": evidence.shipped_step, "curve": [point.model_dump() for point in evidence.curve], "fit": evidence.fit.model_dump(),
        "train_accuracy": evidence.train_accuracy, "test_accuracy": evidence.test_accuracy,
    }  # fmt: skip


def judge_kept(kept: Mapping[str, Any]) -> Judged:
    """Judges a run that the results have kept by the verdict as it is now."""
    evidence = Evidence(
        method=kept["method"], curve=[CurvePoint.model_validate(point) for point in kept["curve"]], shipped_step=kept["shipped_step"],
        fit=(fit := Fit.model_validate(kept["fit"])), train_accuracy=kept["train_accuracy"], test_accuracy=kept["test_accuracy"],
    )  # fmt: skip
    return Judged(kept["kind"], kept["number"], kept["true_rebound"], judge_overfitting(evidence), kept["leak"], leak_share(fit))


def true_rebound(stored: Stored) -> float:
    """Loss of the shipped checkpoint on the truth's rows, over the smallest of all checkpoints."""
    losses: dict[int, float] = {int(step): sum(rows["nats"]) / sum(rows["tokens"]) for step, rows in stored["measured"]["truth"].items()}
    return losses[stored["shipped_step"]] / min(losses.values())


def figures_of(judged: Sequence[Judged]) -> dict[str, float]:
    """Figures over runs. Shares are of all runs, but `same_severity`: those with the very severity that is true."""
    if not judged:
        return {}
    count = len(judged)
    figures: dict[str, float] = {
        "overfit_wrong": sum(run.wrong for run in judged) / count,
        "runs": count,
        "severe_runs": sum(run.truth == "severe" for run in judged),
        "mild_runs": sum(run.truth == "mild" for run in judged),
        "runs_near_the_line": sum(NEAR[0] <= run.true_rebound <= NEAR[1] for run in judged),
        "passed_though_severe": sum(run.wrong and not run.closed for run in judged),
        "closed_though_not_severe": sum(run.wrong and run.closed for run in judged),
        "same_severity": sum(run.found.severity == run.truth for run in judged) / count,
    }
    return figures | {f"wrong_{kind.replace('-', '_')}": float(sum(run.wrong for run in judged if run.kind == kind)) for kind in KINDS}


def line_of(run: Judged) -> str:
    """One run for a terminal."""
    rebound = "-" if run.found.rebound is None else f"{run.found.rebound:.3f}"
    chance = "-" if run.found.leak_chance is None else f"{run.found.leak_chance:.1g}"
    return (
        f"{'WRONG' if run.wrong else 'right'}  {run.kind + '-' + str(run.number):20} truth {run.true_rebound:.3f} {run.truth:7} "
        f"verdict {rebound} {run.found.severity:7} known {run.leak_share:.2f} (chance {chance})"
    )


def _losses(rows: Mapping[str, Any]) -> list[RowLoss]:
    return list(zip(rows["nats"], rows["tokens"], strict=True))


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values)
