"""Each method goes all the way: trained in a child, judged, registered, promoted, and answering from the endpoint as it was judged."""

import json
from pathlib import Path

import httpx
import pytest

from pipeline_config.environment import Machine
from pipeline_config.training import METHOD_NAMES
from tasks.files import version_cache
from tasks.manifest import read_manifest
from tests.projects import run_pipeline, write_project

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gates that a random base of two layers passes whatever it learnt: what is looked at here is the way to the endpoint."""
    return write_project(
        tmp_path_factory.mktemp("methods"),
        training={"epochs": 1, "learning_rate": None, "evals_per_epoch": 1},
        evaluation={"train_sample_rows": 20},
        data={"max_train_rows": 64},
        gates={"min_accuracy": 0.0, "max_perplexity": 1e6, "beats_base": -1.0, "not_worse_than_champion": 0.9},
    )


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_version_of_each_method_answers_from_the_endpoint_as_it_was_judged(machine_up: Machine, project: Path, method: str) -> None:
    run = run_pipeline(machine_up, "--config", str(project), "--set", f"training.method={method} registry.model_name=tiny-{method}")
    assert run.code == 0, run.output
    copy = version_cache(machine_up.workspace) / run.summary["model"]["adapter"]
    assert read_manifest(copy / "model").method == method
    rows = [json.loads(line) for line in (copy / "evidence" / "parity.jsonl").read_text().splitlines()]
    assert rows
    for row in rows[:3]:
        asked = {"model": f"tiny-{method}", "messages": row["messages"]}
        answer = httpx.post(f"{machine_up.server_url}/v1/chat/completions", json=asked, timeout=60)
        assert answer.json()["choices"][0]["message"]["content"] == row["answer"]
