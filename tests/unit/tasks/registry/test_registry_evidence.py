"""What a version keeps beside its artifact."""

import json
from pathlib import Path

import polars as pl
import pytest

from pipeline_config.errors import PromotionRefused
from pipeline_config.loading import config_digest, stored_config_digest
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, Figures, GateEvidence, GateReport, GateResult, RunContext
from tasks.files import read_json, write_json
from tasks.manifest import Manifest
from tasks.registry.evidence import collect, describe, tags_of, write_parity
from tasks.rows import spread_evenly
from tests.builders import make_prepared, make_row
from tests.versions import BASE, make_config

ROWS = [make_row(f"ticket {number}\u2028", "network") for number in range(10)]
MANIFEST = Manifest(
    method="lora", base=BASE, instruction=None, labels=None, max_new_tokens=8, data_digest="training", code_revision=None, files={}
)  # fmt: skip
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
        collect(tmp_path, make_config(), CONTEXT, prepared, evaluated, again)
    assert collect(tmp_path, make_config(), CONTEXT, prepared, evaluated, judged)["gate_report.json"] == judged.path


def test_parity_rows_are_spread_over_the_test_rows_with_their_own_answers_and_the_others_follow(
    tmp_path: Path, evaluated: EvaluationResult
) -> None:
    prepared = make_prepared(tmp_path / "prepared", ROWS[:1], ROWS[:1], ROWS)
    path = tmp_path / "parity.jsonl"
    write_parity(path, prepared.folder / "test.parquet", evaluated.folder / "predictions.parquet", 5)
    lines = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert [line["answer"] for line in lines] == ["0", "2", "4", "6", "8", "1", "3", "5", "7", "9"]
    assert [line["messages"] for line in lines] == [row["messages"][:-1] for row in [*ROWS[::2], *ROWS[1::2]]]


@pytest.mark.parametrize(("count", "kept"), [(5, 50), (50, 50), (60, 60), (90, 80)])
def test_enough_rows_are_kept_to_prove_a_merged_model(tmp_path: Path, count: int, kept: int) -> None:
    rows = [make_row(f"ticket {number}", "network") for number in range(80)]
    prepared = make_prepared(tmp_path / "prepared", rows[:1], rows[:1], rows)
    answers = {"row_id": [row["row_id"] for row in rows], "tuned": [row["messages"][-2]["content"] for row in rows]}
    pl.DataFrame(answers).write_parquet(tmp_path / "predictions.parquet")
    write_parity(tmp_path / "parity.jsonl", prepared.folder / "test.parquet", tmp_path / "predictions.parquet", count)
    stored = [json.loads(line)["answer"] for line in (tmp_path / "parity.jsonl").read_text().splitlines()]
    assert (len(stored), len(set(stored))) == (kept, kept)
    evenly = [answers["tuned"][index] for index in spread_evenly(count, 80)]
    assert stored[: len(evenly)] == evenly


@pytest.mark.parametrize("count", [10, 20])
def test_with_few_test_rows_all_of_them_are_kept(tmp_path: Path, evaluated: EvaluationResult, count: int) -> None:
    prepared = make_prepared(tmp_path / "prepared", ROWS[:1], ROWS[:1], ROWS)
    write_parity(tmp_path / "parity.jsonl", prepared.folder / "test.parquet", evaluated.folder / "predictions.parquet", count)
    assert (tmp_path / "parity.jsonl").read_text().count("\n") == 10


def test_the_stored_configuration_has_the_digest_of_the_one_that_ran(
    tmp_path: Path, evaluated: EvaluationResult, judged: GateEvidence
) -> None:
    config = make_config()
    files = collect(tmp_path, config, CONTEXT, make_prepared(tmp_path / "prepared", ROWS, ROWS, ROWS), evaluated, judged)
    assert set(files) == {"config.json", "figures.json", "gate_report.json", "predictions.parquet", "parity.jsonl"}
    assert stored_config_digest(read_json(files["config.json"])) == config_digest(config)
    assert files["gate_report.json"] == judged.path


def test_page_and_model_card_of_the_run_are_evidence_where_they_were_written(
    tmp_path: Path, evaluated: EvaluationResult, judged: GateEvidence
) -> None:
    context = CONTEXT.model_copy(update={"workspace": tmp_path})
    pages = {"report.html": tmp_path / "runs" / "run" / "report.html", "README.md": tmp_path / "runs" / "run" / "README.md"}
    pages["report.html"].parent.mkdir(parents=True)
    prepared = make_prepared(tmp_path / "prepared", ROWS, ROWS, ROWS)
    for name, path in pages.items():
        assert name not in collect(tmp_path, make_config(), context, prepared, evaluated, judged)
        assert {"report.html": "Report", "README.md": "Model card"}[name] + ": none was written" in described(judged, evaluated, context)
        path.write_text(name)
    assert pages.items() <= collect(tmp_path, make_config(), context, prepared, evaluated, judged).items()
    text = described(judged, evaluated, context)
    assert "[Report](http://mlflow/run/artifacts/version/evidence/report.html)" in text
    assert "[Model card](http://mlflow/run/artifacts/version/evidence/README.md)" in text


def test_the_tags_bind_verdict_artifact_report_evidence_and_origin(judged: GateEvidence) -> None:
    config = make_config()
    assert tags_of(config, CONTEXT, judged, MANIFEST, "e" * 64) == {
        "tunegate.verdict": "pass",
        "tunegate.artifact_digest": "a" * 64,
        "tunegate.gate_report_digest": "b" * 64,
        "tunegate.evidence_digest": "e" * 64,
        "tunegate.run_id": "run",
        "tunegate.base_digest": BASE.digest,
        "tunegate.data_digest": "d",
        "tunegate.config_digest": config_digest(config),
        "tunegate.code_revision": "not a repository",
        "tunegate.method": "lora",
        "tunegate.approval_policy": "auto",
        "tunegate.mlflow_run": "http://mlflow/run",
    }
    both = tags_of(config, CONTEXT.model_copy(update={"prefect_run_url": "http://prefect/1"}), judged, MANIFEST, "e" * 64)
    assert both["tunegate.prefect_run"] == "http://prefect/1"


def described(
    judged: GateEvidence, evaluated: EvaluationResult, context: RunContext = CONTEXT, config: PipelineConfig | None = None,
    needs: str | None = None,
) -> str:  # fmt: skip
    return describe(config or make_config(), context, evaluated, judged, MANIFEST, needs)


def test_the_description_tells_a_reviewer_what_to_decide_on(evaluated: EvaluationResult, judged: GateEvidence) -> None:
    text = described(judged, evaluated)
    for part in (
        "**Verdict: pass** on 10 test rows",
        "| accuracy | 0.1 | 0.9123 |",
        "| macro_f1 |  | 0.9 |",
        "0.91 \\| at least 0.8",
        "(http://mlflow/run)",
        "a" * 64,
        BASE.digest,
        "Nobody is asked",
        "tunegate pull NUMBER FOLDER",
    ):
        assert part in text
    assert "Prefect run" not in text
    context = CONTEXT.model_copy(update={"prefect_run_url": "http://prefect/1"})
    assert "[Prefect run](http://prefect/1)" in described(judged, evaluated, context)
    assert "that needs tunegate" in described(judged, evaluated, needs="Something stood masked: that needs tunegate.")


def test_a_reviewer_reads_what_to_type_and_of_a_failed_version_why_not(evaluated: EvaluationResult, judged: GateEvidence) -> None:
    review = make_config(registry={"model_name": "routing", "approval": "mlflow_review"})
    text = described(judged, evaluated, config=review)
    assert "set the tag `approval_status` on this page to `approved` or `rejected`" in text
    gate = judged.report.gates[0].model_copy(update={"outcome": "fail"})
    failed = judged.model_copy(update={"report": judged.report.model_copy(update={"verdict": "fail", "gates": (gate,)})})
    text = described(failed, evaluated, config=review)
    assert "It cannot go to production: min_accuracy did not pass" in text
    assert "approval_status" not in text
