"""Gates through the main job: a held run is topped up without training again, and a finished one is judged again without a model."""

import json
from pathlib import Path

import pytest

from pipeline_config.environment import Machine
from tasks.files import run_folder
from tasks.registry.mlflow_registry import MlflowRegistry
from tests.projects import Run, run_pipeline, tunegate, write_project

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def held(machine_up: Machine, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Sixty rows of a hundred and more that there are, where a gate asks for a hundred."""
    project = write_project(tmp_path_factory.mktemp("topup"), rows=500, data={"max_test_rows": 60})
    return run_pipeline(machine_up, "--config", str(project))


def test_a_held_run_says_how_many_rows_it_lacks_and_what_the_plan_was(held: Run) -> None:
    assert held.code == 4, held.output
    gates = {gate["name"]: gate for gate in held.summary["gates"]}
    assert (gates["min_accuracy"]["outcome"], gates["min_accuracy"]["more_rows"]) == ("hold", 40)
    assert any(note.startswith("plan: beats_base: ") for note in held.summary["notes"])


def test_a_top_up_reuses_the_artifact_and_is_a_second_look_that_opens_production(machine_up: Machine, held: Run) -> None:
    before = (machine_up.workspace / "runs" / "latest").resolve()
    done = tunegate(machine_up, "topup", held.summary["run_id"], "--rows", "80")
    folder = (machine_up.workspace / "runs" / "latest").resolve()
    assert folder != before, done.stderr
    summary = json.loads((folder / "summary.json").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert (summary["stages"]["train"]["status"], summary["test_rows"]) == ("reused", 140)
    assert summary["artifact_digest"] == held.summary["artifact_digest"]
    assert any("look 2 at the artifact" in note and held.summary["gate_report_digest"][:12] in note for note in summary["notes"])
    assert {gate["level"] for gate in summary["gates"] if gate["kind"] == "improvement"} == {0.01}


def test_judging_a_run_again_opens_nothing(machine_up: Machine, held: Run) -> None:
    name = held.summary["model"]["name"]
    registry, run = MlflowRegistry(machine_up.mlflow_url), held.summary["run_id"]
    before = registry.aliases(name)
    fewer = " ".join(f"gates.{name}.min_rows=50" for name in ("min_accuracy", "beats_base", "max_perplexity", "nothing_given_away"))
    done = tunegate(machine_up, "gates", run, "--set", fewer)
    assert done.returncode == 0, done.stdout + done.stderr
    [report] = (run_folder(machine_up.workspace, run) / "rejudged").glob("*/gate_report.json")
    content = json.loads(report.read_text())
    assert (content["verdict"], content["rejudges"]) == ("pass", held.summary["gate_report_digest"])
    assert registry.aliases(name) == before
    page = Path(done.stdout.split()[-1])
    assert page.parent == report.parent
    assert "A finished run was judged again: this report opens nothing." in page.read_text()
