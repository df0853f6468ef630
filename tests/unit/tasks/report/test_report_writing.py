"""Page and card lie in the run's folder; what cannot be written is said, and ends nothing."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline_config.environment import read_machine
from tasks.artifacts import PromotionOutcome
from tasks.files import read_json, run_folder
from tasks.report.summary import RunParts, summarise
from tasks.report.table import render
from tasks.report.task import RunReport
from tasks.report.writing import write_page, write_report
from tasks.stages import StageResult
from tests.finished_runs import GATES, FinishedRun, classified

SCHEMA = json.loads((Path(__file__).parents[4] / "docs" / "reference" / "summary.schema.json").read_text())


@pytest.fixture
def run(tmp_path: Path) -> FinishedRun:
    return classified(tmp_path)


def folder_of(run: FinishedRun) -> Path:
    return run_folder(run.context.workspace, run.context.run_id)


def test_everything_lies_in_the_runs_folder(run: FinishedRun) -> None:
    written = write_report(*run)
    assert written.faults == ()
    found = sorted(path.relative_to(folder_of(run)).as_posix() for path in folder_of(run).rglob("*") if path.is_file())
    assert found == ["README.md", "figures/confusion.svg", "figures/gates.svg", "figures/loss.svg", "report.html"]
    assert written.page == folder_of(run) / "report.html"
    assert str(written.page).replace(".", "\\.") in written.markdown.replace("\\/", "/").replace("\\-", "-").replace("\\_", "_")


def test_a_run_that_was_not_evaluated_has_no_page_and_no_fault(run: FinishedRun) -> None:
    parts = run.parts.model_copy(update={"evaluated": None, "judged": None})
    assert write_report(run.config, run.context, parts) == write_report(run.config, run.context, RunParts())
    assert write_page(run.config, run.context, parts, "error", folder_of(run)).faults == ()
    assert not folder_of(run).exists()


def test_a_page_that_cannot_be_written_is_said_and_the_card_is_written_all_the_same(run: FinishedRun) -> None:
    (folder_of(run) / "report.html").mkdir(parents=True)
    written = write_report(*run)
    assert (written.page, written.card) == (None, folder_of(run) / "README.md")
    [fault] = written.faults
    assert fault.startswith("the page could not be written: ")


def test_answers_that_are_gone_are_said(run: FinishedRun) -> None:
    assert run.parts.evaluated is not None
    (run.parts.evaluated.folder / "predictions.parquet").unlink()
    written = write_report(*run)
    assert (written.page, written.card, written.pictures) == (None, None, {})
    assert len(written.faults) == 1
    assert "\n" not in written.faults[0]


def closed(run: FinishedRun) -> dict[str, Any]:
    """The summary of a run whose stages had these results."""
    report = RunReport(run.config, run.context, read_machine({"TUNEGATE_WORKSPACE": str(run.context.workspace)}))
    with report:
        values = {"prepare": run.parts.data, "train": run.parts.trained, "evaluate": run.parts.evaluated}
        values |= {"gates": run.parts.judged, "register": run.parts.registered}
        for name, value in values.items():
            report.add(StageResult(name, value, "k", 0.5, False))  # type: ignore[type-var]
        report.promoted(PromotionOutcome(state="Promoted", message=None, url="http://prefect/runs/q", seconds=2.0))
    summary: dict[str, Any] = read_json(folder_of(run) / "summary.json")
    jsonschema.validate(summary, SCHEMA)
    return summary


def test_the_summary_names_the_page_and_the_page_the_version(tmp_path: Path) -> None:
    run = classified(tmp_path, verdict="pass", gates=GATES[:4])
    summary = closed(run)
    assert summary["report"] == str(folder_of(run) / "report.html")
    page = Path(summary["report"]).read_text()
    assert "desk-v3 is live." in page
    assert 'href="http://prefect/runs/q"' in page
    shown = "\n".join(str(part) for part in render(summary).renderables)  # type: ignore[union-attr]
    assert f"report: {summary['report']}" in shown


def test_a_page_that_fails_leaves_the_outcome_and_a_note(tmp_path: Path) -> None:
    run = classified(tmp_path, verdict="pass", gates=GATES[:4])
    (folder_of(run) / "report.html").mkdir(parents=True)
    summary = closed(run)
    assert (summary["outcome"], summary["report"]) == ("passed", None)
    assert [note for note in summary["notes"] if note.startswith("report: the page could not be written")] != []


def test_a_run_without_a_page_has_none_in_its_summary(run: FinishedRun) -> None:
    assert summarise(run.config, run.context, RunParts(), "error", None, None)["report"] is None
