"""The ways into the pipeline, as people use them, with the embedded model: the command, Prefect's form in a real browser, a schedule."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from pipeline_config.environment import Machine
from tasks.files import ledger_path, read_json
from tasks.ledger import Ledger
from tests.browser import open_browser, screenshots_folder
from tests.projects import run_pipeline, tunegate

pytestmark = [pytest.mark.services, pytest.mark.embedded, pytest.mark.slow]

SCHEMA = read_json(Path(__file__).parents[2] / "docs" / "reference" / "summary.schema.json")
_RUN_SECONDS = 420


@pytest.fixture(scope="module")
def deployed(embedded_machine_up: Machine) -> Machine:
    done = tunegate(embedded_machine_up, "deploy")
    assert done.returncode == 0, done.stderr
    return embedded_machine_up


@pytest.fixture
def page() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser.new_page(viewport={"width": 1360, "height": 1000})


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Polls a real server; nothing here can be told when a run in another process ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(1)
    raise AssertionError(f"{what} did not happen within {seconds:.0f} s")


def flow_runs(name: str) -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName

    with get_client(sync_client=True) as client:
        return list(client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[name]))))


def deployment_id() -> str:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return str(client.read_deployment_by_name("finetune/finetune").id)


def finished_run_other_than(known: set[Any]) -> Any:
    runs = [run for run in flow_runs("finetune") if run.id not in known and run.state is not None and run.state.is_final()]
    return runs[0] if runs else None


def test_prefects_form_starts_a_run_that_deploys(deployed: Machine, page: Any) -> None:
    from playwright.sync_api import expect

    known = {run.id for run in flow_runs("finetune")}
    page.goto(f"{deployed.prefect_ui_url}/deployments/deployment/{deployment_id()}/run", wait_until="networkidle")
    page.get_by_text("Starting point: data, model, training and gates").wait_for(timeout=30_000)
    page.locator(".p-select-button__control").first.focus()
    page.keyboard.press("ArrowDown")
    page.locator(".p-select-option", has_text="smoke").click()
    expect(page.locator(".p-select-button__value").first).to_have_text("smoke", timeout=10_000)
    page.screenshot(path=screenshots_folder() / "prefect-form.png")
    page.get_by_role("button", name="Submit").click()
    run = wait_for(lambda: finished_run_other_than(known), _RUN_SECONDS, "the end of the run that the form started")
    assert run.state.name == "Passed", run.state.message
    assert run.parameters["preset"] == "smoke"
    page.goto(f"{deployed.prefect_ui_url}/runs/flow-run/{run.id}")
    page.get_by_text("Passed").first.wait_for(timeout=30_000)
    page.screenshot(path=screenshots_folder() / "prefect-run.png", clip={"x": 0, "y": 0, "width": 1360, "height": 500})


def test_the_command_ends_live(deployed: Machine) -> None:
    run = run_pipeline(deployed, "--preset", "smoke")
    assert run.code == 0, run.output
    jsonschema.validate(run.summary, SCHEMA)
    live = Ledger(ledger_path(deployed.workspace)).live("helpdesk-smoke")
    assert live is not None
    assert live.version == run.summary["model"]["version"]
    kinds = {"threshold", "improvement", "non_inferiority", "overfitting", "forgetting", "leakage", "safety"}
    assert {gate["kind"] for gate in run.summary["gates"]} == kinds


def test_a_schedule_fires_and_its_run_completes(deployed: Machine) -> None:
    known = {run.id for run in flow_runs("finetune")}
    api, deployment = f"{deployed.prefect_api_url}/deployments", deployment_id()
    weekly = httpx.get(f"{api}/{deployment}/schedules").json()
    assert [schedule["active"] for schedule in weekly] == [False]
    each_minute = {"interval": 60, "timezone": "UTC"}
    body = [{"schedule": each_minute, "active": True, "parameters": {"preset": "smoke"}}]
    created = httpx.post(f"{api}/{deployment}/schedules", json=body)
    assert created.status_code == 201, created.text
    try:
        run = wait_for(lambda: finished_run_other_than(known), _RUN_SECONDS, "the end of the scheduled run")
    finally:
        httpx.delete(f"{api}/{deployment}/schedules/{created.json()[0]['id']}")
    assert run.auto_scheduled
    assert run.state.name == "Passed", run.state.message


def test_an_untrained_adapter_fails_the_smoke_presets_own_improvement_gate(deployed: Machine) -> None:
    run = run_pipeline(deployed, "--preset", "smoke", "--set", "training.epochs=0")
    assert run.code == 3, run.output
    assert next(gate for gate in run.summary["gates"] if gate["kind"] == "improvement")["outcome"] == "fail"
