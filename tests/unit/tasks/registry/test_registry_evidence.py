"""What a version keeps beside its artifact."""

import json
from pathlib import Path

import polars as pl
import pytest

from pipeline_config.errors import PromotionRefused
from pipeline_config.loading import config_digest, stored_config_digest
from tasks.artifacts import EvaluationResult, Figures, GateEvidence, GateReport, GateResult, RunContext
from tasks.files import read_json, write_json
from tasks.registry.evidence import collect, describe, tags_of, write_parity
from tests.builders import make_prepared, make_row
from tests.versions import make_config

ROWS = [make_row(f"ticket {number}\u2028", "network") for number in range(10)]
CONTEXT = RunContext(run_id="run", workspace=Path("w"), mlflow_run_id="m", mlflow_run_url="http://mlflow/run", prefect_run_url=None)


@pytest.fixture
def evaluated(tmp_path: Path) -> EvaluationResult:
    folder = tmp_path / "evaluated"
    folder.mkdir()
    answers = {
        "row_id": [row["row_id"] for row in reversed(ROWS)],
        "expected": "network",
        "base": "?",
        "tuned": [str(9 - n) for n in range(10)],
    }
    pl.DataFrame(answers).write_parquet(folder / "predictions.parquet")
    return EvaluationResult(
        folder=folder, rows=10, base=Figures(values={"accuracy": 0.1}), tuned=Figures(values={"accuracy": 0.912345, "macro_f1": 0.9}),
        tfidf=Figures(), champion=None, champion_name=None, champion_fault=None, champion_seen_rows=0, tuned_train_accuracy=None,
        base_constrained=True,
    )  # fmt: skip


@pytest.fixture
def judged(tmp_path: Path) -> GateEvidence:
    gate = GateResult(
        name="min_accuracy", kind="threshold", metric="accuracy", value=0.91, threshold=0.8, interval=None, rows=10, outcome="pass",
        reason="0.91 | at least 0.8",
    )  # fmt: skip
    report = GateReport(artifact_digest="a" * 64, data_digest="d", config_digest="c", gates=(gate,), verdict="pass")
    write_json(tmp_path / "report.json", report.model_dump(mode="json"))
    return GateEvidence(path=tmp_path / "report.json", digest="b" * 64, report=report)


def test_a_report_that_judges_a_run_again_makes_no_version(tmp_path: Path, evaluated: EvaluationResult, judged: GateEvidence) -> None:
    again = judged.model_copy(update={"report": judged.report.model_copy(update={"rejudges": "f" * 64})})
    prepared = make_prepared(tmp_path / "prepared", ROWS[:1], ROWS[:1], ROWS)
    with pytest.raises(PromotionRefused, match="judges a finished run again"):
        collect(tmp_path, make_config(), prepared, evaluated, again)
    assert collect(tmp_path, make_config(), prepared, evaluated, judged)["gate_report.json"] == judged.path


def test_parity_rows_are_spread_over_the_test_rows_with_their_own_answers(tmp_path: Path, evaluated: EvaluationResult) -> None:
    prepared = make_prepared(tmp_path / "prepared", ROWS[:1], ROWS[:1], ROWS)
    path = tmp_path / "parity.jsonl"
    write_parity(path, prepared.folder / "test.parquet", evaluated.folder / "predictions.parquet", 5)
    lines = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert [line["answer"] for line in lines] == ["0", "2", "4", "6", "8"]
    assert [line["messages"] for line in lines] == [row["messages"][:-1] for row in ROWS[::2]]


@pytest.mark.parametrize("count", [10, 20])
def test_with_few_test_rows_all_of_them_are_kept(tmp_path: Path, evaluated: EvaluationResult, count: int) -> None:
    prepared = make_prepared(tmp_path / "prepared", ROWS[:1], ROWS[:1], ROWS)
    write_parity(tmp_path / "parity.jsonl", prepared.folder / "test.parquet", evaluated.folder / "predictions.parquet", count)
    assert (tmp_path / "parity.jsonl").read_text().count("\n") == 10


def test_the_stored_configuration_has_the_digest_of_the_one_that_ran(
    tmp_path: Path, evaluated: EvaluationResult, judged: GateEvidence
) -> None:
    config = make_config()
    files = collect(tmp_path, config, make_prepared(tmp_path / "prepared", ROWS, ROWS, ROWS), evaluated, judged)
    assert set(files) == {"config.json", "figures.json", "gate_report.json", "predictions.parquet", "parity.jsonl"}
    assert stored_config_digest(read_json(files["config.json"])) == config_digest(config)
    assert files["gate_report.json"] == judged.path


def test_the_tags_bind_verdict_artifact_report_and_run(judged: GateEvidence) -> None:
    assert tags_of(CONTEXT, judged) == {
        "tunegate.verdict": "pass",
        "tunegate.artifact_digest": "a" * 64,
        "tunegate.gate_report_digest": "b" * 64,
        "tunegate.run_id": "run",
    }


def test_the_description_tells_a_reviewer_what_to_decide_on(evaluated: EvaluationResult, judged: GateEvidence) -> None:
    text = describe(make_config(), CONTEXT, evaluated, judged)
    for part in (
        "**Verdict: pass** on 10 test rows",
        "| accuracy | 0.1 | 0.9123 |",
        "| macro_f1 |  | 0.9 |",
        "0.91 \\| at least 0.8",
        "(http://mlflow/run)",
        "a" * 64,
    ):
        assert part in text
    assert "Prefect run" not in text
