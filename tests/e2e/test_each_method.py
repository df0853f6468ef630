"""The smoke preset with each of the seven methods: past its gates, live, and answering. Takes minutes; not part of `make test`."""

import httpx
import pytest

from pipeline_config.environment import Machine
from pipeline_config.training import METHOD_NAMES
from tests.projects import run_pipeline

pytestmark = pytest.mark.services


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_smoke_with_each_method_ends_deployed_and_answers(machine_up: Machine, method: str) -> None:
    model = f"helpdesk-smoke-{method}"
    run = run_pipeline(machine_up, "--preset", "smoke", "--set", f"training.method={method} registry.model_name={model}")
    assert (run.code, run.summary["verdict"]) == (0, "pass"), run.output
    ticket = {"role": "user", "content": "The printer on the third floor prints blank pages."}
    answer = httpx.post(f"{machine_up.server_url}/v1/chat/completions", json={"model": model, "messages": [ticket]}, timeout=60)
    assert answer.json()["choices"][0]["message"]["content"] == "printing_scanning"
