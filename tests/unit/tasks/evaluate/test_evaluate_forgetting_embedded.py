"""The embedded model after real trainings: a full one wrecked on purpose fails the preset's gate, and the preset's own one passes."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline_config.gates import ForgettingGate
from pipeline_config.loading import load_config
from tasks.artifacts import GateResult, PreparedData
from tasks.data.prepare import prepare_data
from tasks.data.template import template_of
from tasks.embeddings import EmbeddedEmbedder
from tasks.evaluate.contenders import Adapter, Examiner
from tasks.evaluate.forgetting import judge_forgetting
from tasks.evaluate.retention import ask_in_general
from tasks.methods.settings import settle
from tasks.train.events import TrainingRequest
from tasks.train.train import train

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Smoke:
    """The smoke preset's rows. The base takes the exam once for all tests."""

    folder: Path
    prepared: PreparedData


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    folder, config = tmp_path_factory.mktemp("forgetting"), load_config("smoke")
    (folder / "data").mkdir()
    template = template_of(config.model, folder)
    return Smoke(folder, prepare_data(config.data, template=template, folder=folder / "data", embedder=EmbeddedEmbedder()))


def judged(smoke: Smoke, name: str, *overrides: str) -> GateResult:
    """Trains with these overrides of the preset and asks base and tuned what they can do in general."""
    config, data = load_config("smoke", None, list(overrides)), smoke.prepared
    (smoke.folder / name).mkdir()
    request = TrainingRequest(
        workspace=smoke.folder, folder=smoke.folder / name, data_folder=data.folder, data_digest=data.digest, instruction=data.instruction,
        labels=data.labels, max_new_tokens=config.evaluation.max_new_tokens, code_revision=None, model=config.model,
        training=settle(config.training).training,
    )  # fmt: skip
    trained = train(request, dict(os.environ), lambda event: None)
    examiner = Examiner(config, smoke.folder, trained.layout, lambda what, done, total: None)
    asked = ask_in_general(examiner, config, Adapter(name, trained.artifact, trained.artifact_digest))
    gate = config.gates["no_forgetting"]
    assert isinstance(gate, ForgettingGate)
    assert asked is not None
    result = judge_forgetting("no_forgetting", gate, asked.keep(smoke.folder / name))
    print(f"{name}: {result.outcome}, {result.reason}")
    return result


def test_a_full_training_that_was_wrecked_on_purpose_fails(smoke: Smoke) -> None:
    result = judged(smoke, "wrecked", "training.method=full", "training.full.learning_rate=1.0e-3")
    assert result.outcome == "fail", result.reason
    assert result.interval is not None


def test_the_preset_as_it_is_passes(smoke: Smoke) -> None:
    result = judged(smoke, "tuned")
    assert result.outcome == "pass", result.reason
