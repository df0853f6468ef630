import math
from pathlib import Path

import pytest

from tasks.artifacts import EvaluationResult, Figures, GateReport, GateResult, GeneralLosses, RetainedCategory, Retention
from tasks.evaluate.task import markdown, progress_lines, tracked_figures


def test_progress_is_said_at_the_start_at_the_end_and_now_and_then() -> None:
    said: list[str] = []
    now = 100.0
    on_progress = progress_lines(said.append, lambda: now)
    on_progress("base answers", 1, 40)
    on_progress("base answers", 2, 40)
    now = 111.0
    on_progress("base answers", 30, 40)
    on_progress("base answers", 40, 40)
    on_progress("tuned answers", 1, 40)
    assert said == ["base answers: 1 of 40", "base answers: 30 of 40", "base answers: 40 of 40", "tuned answers: 1 of 40"]


def test_only_figures_that_were_measured_are_tracked() -> None:
    evaluation = EvaluationResult(
        folder=Path(), rows=4, base=Figures(values={"accuracy": 0.25}), tuned=Figures(values={"accuracy": 0.75, "perplexity": 1.5}),
        tfidf=Figures(), champion=None, champion_name=None, champion_fault=None, champion_seen_rows=0, tuned_train_accuracy=None,
        base_constrained=False,
    )  # fmt: skip
    assert tracked_figures(evaluation) == {"test/base/accuracy": 0.25, "test/tuned/accuracy": 0.75, "test/tuned/perplexity": 1.5}


def test_what_was_retained_is_tracked_by_category() -> None:
    text = GeneralLosses(source="here", digest="d", block_tokens=2, base=(1.0, 3.0), tuned=(1.0, None))
    category = RetainedCategory(name="safety", questions=4, base_right=3, tuned_right=2, gained=0, lost=1)
    evaluation = EvaluationResult(
        folder=Path(), rows=4, base=Figures(), tuned=Figures(), tfidf=Figures(), champion=None, champion_name=None, champion_fault=None,
        champion_seen_rows=0, tuned_train_accuracy=None, base_constrained=False,
        retention=Retention(suite_digest="s", categories=(category,), unanswered=0, text=text),
    )  # fmt: skip
    assert tracked_figures(evaluation) == {
        "general/base/safety": 0.75, "general/tuned/safety": 0.5, "general/base/perplexity": pytest.approx(math.exp(2)),
    }  # fmt: skip


def test_the_note_names_every_gate_with_its_reason() -> None:
    gate = GateResult(
        name="fit", kind="overfitting", metric=None, value=None, threshold=1.2, interval=None, rows=1, outcome="fail", reason="too far"
    )
    report = GateReport(artifact_digest="a", data_digest="d", config_digest="c", gates=(gate,), verdict="fail")
    assert markdown(report) == "Verdict: **fail**\n\n- **fit**: fail. too far"
