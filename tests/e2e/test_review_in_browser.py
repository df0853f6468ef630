"""A reviewer's decision as a person makes it: on the version's page in MLflow, with a real browser."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.registration import register_deployments
from flows.promotion import promotion
from pipeline_config.environment import Machine
from tasks.registry.port import NOTE_TAG
from tests.browser import open_browser, screenshots_folder
from tests.stages import Stage, make_stage

pytestmark = [pytest.mark.services, pytest.mark.slow]

MODEL = "helpdesk-routing"
_MINUTE = 60.0
_PATIENCE = 120_000


@pytest.fixture
def stage(machine_up: Machine, tmp_path: Path) -> Stage:
    register_deployments(machine_up, lambda _: None)
    return make_stage(machine_up, tmp_path, MODEL)


@pytest.fixture
def page() -> Iterator[Any]:
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1360, "height": 900})
        page.set_default_timeout(_PATIENCE)
        yield page


def open_version(page: Any, stage: Stage, version: int) -> None:
    page.goto(stage.registry.url(MODEL, version), wait_until="domcontentloaded")
    page.reload(wait_until="domcontentloaded")  # an address that differs in nothing loads nothing
    page.get_by_test_id("tags-form-input-name").wait_for()
    close = page.get_by_role("button", name="Close", exact=True)  # MLflow's assistant, which takes a quarter of the page
    if close.count():
        close.first.click()


def add_tag(page: Any, key: str, value: str) -> None:
    page.get_by_test_id("tags-form-input-name").fill(key)
    page.get_by_test_id("tags-form-input-value").fill(value)
    page.get_by_test_id("add-tag-button").click()
    row_of(page, key).wait_for()


def change_tag(page: Any, key: str, value: str) -> None:
    row_of(page, key).get_by_test_id("editable-table-button-edit").click()
    box = page.get_by_test_id("editable-table").locator("input")
    box.fill(value)
    box.press("Enter")


def row_of(page: Any, key: str) -> Any:
    return page.get_by_test_id("editable-table").get_by_role("row").filter(has_text=re.compile(rf"^\s*{re.escape(key)}"))


def within(seconds: float, condition: Callable[[], Any], what: str) -> None:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.5)
    print(f"{what}: {time.monotonic() - started:.1f} s")


def test_a_reviewer_approves_on_mlflows_page_and_the_version_goes_live(stage: Stage, page: Any) -> None:
    version = stage.add(1, "mlflow_review", description="**Verdict: pass** on 400 test rows.")
    promotion(MODEL, version, return_state=True)
    open_version(page, stage, version)
    page.get_by_text("challenger").first.wait_for()
    assert "set tag approval_status to exactly" in row_of(page, NOTE_TAG).inner_text()

    add_tag(page, "approval_reason", "read the report, tried ten tickets")
    add_tag(page, "approval_status", "Approved")
    within(_MINUTE, lambda: "type exactly approved or rejected" in stage.tag(version, NOTE_TAG), "the answer to a mistyped word")
    assert stage.live() is None
    open_version(page, stage, version)
    assert "type exactly approved or rejected" in row_of(page, NOTE_TAG).inner_text()
    page.screenshot(path=screenshots_folder() / "mlflow-review.png")

    change_tag(page, "approval_status", "approved")
    within(_MINUTE, lambda: "champion" in stage.registry.aliases(MODEL), "the promotion")
    within(_MINUTE, lambda: "live by ledger entry" in stage.tag(version, NOTE_TAG), "the roll-out")
    assert stage.registry.aliases(MODEL) == {"champion": version}
    assert stage.live() == stage.answers() == f"{MODEL}-v{version}"
    entry = stage.ledger.live(MODEL)
    assert entry is not None
    assert (entry.policy, entry.reason) == ("mlflow_review", "read the report, tried ten tickets")
    open_version(page, stage, version)
    page.get_by_text("champion").first.wait_for()
    assert "live by ledger entry" in row_of(page, NOTE_TAG).inner_text()
    page.screenshot(path=screenshots_folder() / "mlflow-approved.png")
