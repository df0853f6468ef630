"""Nothing but a version that its own bytes prove to have passed is let through."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.deployment import DeploymentConfig
from pipeline_config.errors import PromotionRefused
from pipeline_config.loading import stored_config_digest
from tasks.artifacts import GateResult
from tasks.registry.approval import Rules
from tasks.registry.port import CONFIG, EVIDENCE_FOLDER, GATE_REPORT, GATE_REPORT_TAG, MODEL_FOLDER
from tasks.registry.verdict import verified_evidence
from tasks.verdict import verdict_of
from tests.fakes import FakeRegistry
from tests.versions import MODEL, PASSED, Candidate, make_config

Bend = Callable[[FakeRegistry, Path], None]


@pytest.fixture
def registry(tmp_path: Path) -> FakeRegistry:
    return FakeRegistry(tmp_path / "registry")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "versions"
    folder.mkdir()
    return folder


def test_a_version_that_passed_is_fetched_and_let_through(registry: FakeRegistry, tmp_path: Path, cache: Path) -> None:
    version = Candidate(tmp_path / "v1").register(registry, "run")
    evidence = verified_evidence(registry, MODEL, version, cache)
    assert (evidence.adapter_name, evidence.rules.policy) == ("routing-v1", "auto")
    assert evidence.deployment == DeploymentConfig()
    assert evidence.artifact == cache / "routing-v1" / "model"
    assert (evidence.artifact / "adapter_model.safetensors").read_text() == "weights"
    assert evidence.parity.is_file()
    assert [path.name for path in cache.iterdir() if path.is_dir()] == ["routing-v1"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"verdict": "fail"}, "verdict is fail"),
        ({"verdict": "hold"}, "verdict is hold"),
        ({"verdict": "fail", "tags": {"tunegate.verdict": "pass"}}, "report says fail"),
        ({"tags": {"tunegate.verdict": "Pass"}}, "verdict is Pass"),
        ({"outcomes": {**PASSED, "improvement": "fail"}}, "gates amount to fail"),
        ({"outcomes": {**PASSED, "improvement": "hold"}}, "gates amount to hold"),
        ({"outcomes": {**PASSED, "overfitting": "not_applicable"}}, "gates amount to hold"),
        ({"outcomes": {**PASSED, "threshold": "not_applicable"}}, "gates amount to hold"),
        ({"outcomes": {"threshold": "pass", "overfitting": "pass"}}, "lacks the gates improvement, non_inferiority"),
        ({"judged_artifact": "0" * 64}, "judges another artifact"),
        ({"rejudges": "0" * 64}, "judges a finished run again"),
        ({"tags": {"tunegate.artifact_digest": "0" * 64}}, "its files are artifact"),
        ({"tags": {"tunegate.gate_report_digest": "0" * 64}}, "not the one that it was registered with"),
        ({"config_digest": "0" * 64}, "not the one that was judged"),
        ({"stored_config": {"environment": "local"}}, "configuration cannot be read"),
        ({"config": make_config(registry={"model_name": "other", "approval": "auto"})}, "judged as a version of other"),
    ],
)
def test_refuses_evidence_that_does_not_hold(
    registry: FakeRegistry, tmp_path: Path, cache: Path, changes: dict[str, Any], reason: str
) -> None:
    version = Candidate(tmp_path / "v1", **changes).register(registry, "run")
    with pytest.raises(PromotionRefused, match=reason):
        verified_evidence(registry, MODEL, version, cache)


def test_refuses_policy_auto_in_production(registry: FakeRegistry, tmp_path: Path, cache: Path) -> None:
    stored = make_config().as_json() | {"environment": "production"}
    candidate = Candidate(tmp_path / "v1", stored_config=stored, config_digest=stored_config_digest(stored))
    version = candidate.register(registry, "run")
    with pytest.raises(PromotionRefused, match="policy is auto in environment production"):
        verified_evidence(registry, MODEL, version, cache)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "changed weights": (lambda files: flip(files / MODEL_FOLDER / "adapter_model.safetensors"), "do not match the manifest"),
    "changed training rows": (lambda files: flip(files / MODEL_FOLDER / "train_rows.parquet"), "do not match the manifest"),
    "a file put in": (lambda files: (files / MODEL_FOLDER / "more.bin").touch(), "do not match the manifest"),
    "no manifest": (lambda files: (files / MODEL_FOLDER / "manifest.json").unlink(), "no manifest"),
    "damaged manifest": (lambda files: (files / MODEL_FOLDER / "manifest.json").write_text("{"), "cannot be read"),
    "changed report": (lambda files: flip(files / EVIDENCE_FOLDER / GATE_REPORT), "not the one that it was registered with"),
    "no report": (lambda files: (files / EVIDENCE_FOLDER / GATE_REPORT).unlink(), "no gate report"),
    "no configuration": (lambda files: (files / EVIDENCE_FOLDER / CONFIG).unlink(), "configuration cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_refuses_a_version_whose_files_were_changed(registry: FakeRegistry, tmp_path: Path, cache: Path, damage: str) -> None:
    version = Candidate(tmp_path / "v1").register(registry, "run")
    change, reason = DAMAGES[damage]
    change(registry.files(MODEL, version))
    with pytest.raises(PromotionRefused, match=reason):
        verified_evidence(registry, MODEL, version, cache)


def test_a_rewritten_verdict_with_a_fitting_tag_is_refused_by_its_gates(registry: FakeRegistry, tmp_path: Path, cache: Path) -> None:
    candidate = Candidate(tmp_path / "v1", verdict="pass", outcomes={**PASSED, "overfitting": "fail"})
    version = candidate.register(registry, "run")
    with pytest.raises(PromotionRefused, match="report says pass and its gates amount to fail"):
        verified_evidence(registry, MODEL, version, cache)


@pytest.mark.parametrize("version", [1, 2])
def test_refuses_a_version_that_is_not_there(registry: FakeRegistry, tmp_path: Path, cache: Path, version: int) -> None:
    registry.forget(MODEL, Candidate(tmp_path / "v1").register(registry, "run"))
    with pytest.raises(PromotionRefused, match=f"has no version {version}"):
        verified_evidence(registry, MODEL, version, cache)


def test_a_damaged_copy_is_fetched_again(registry: FakeRegistry, tmp_path: Path, cache: Path) -> None:
    version = Candidate(tmp_path / "v1").register(registry, "run")
    weights = verified_evidence(registry, MODEL, version, cache).artifact / "adapter_model.safetensors"
    flip(weights)
    verified_evidence(registry, MODEL, version, cache)
    assert weights.read_text() == "weights"


def test_a_good_copy_is_used_without_the_registrys_files(registry: FakeRegistry, tmp_path: Path, cache: Path) -> None:
    version = Candidate(tmp_path / "v1").register(registry, "run")
    first = verified_evidence(registry, MODEL, version, cache)
    (registry.files(MODEL, version) / MODEL_FOLDER / "adapter_model.safetensors").unlink()
    assert verified_evidence(registry, MODEL, version, cache) == first


def test_an_interrupted_download_leaves_no_copy(registry: FakeRegistry, tmp_path: Path, cache: Path) -> None:
    version = Candidate(tmp_path / "v1").register(registry, "run")
    (registry.files(MODEL, version) / EVIDENCE_FOLDER).rename(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="no evidence/"):
        verified_evidence(registry, MODEL, version, cache)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


OUTCOMES = st.sampled_from(["pass", "fail", "hold", "not_applicable"])
KINDS = st.sampled_from(list(PASSED))


@given(st.lists(st.tuples(KINDS, OUTCOMES)))
def test_a_verdict_is_pass_only_with_both_checks_passed_and_nothing_against(gates: list[tuple[str, Any]]) -> None:
    results = [
        GateResult(name=str(i), kind=kind, metric=None, value=None, threshold=1, interval=None, rows=None, outcome=outcome, reason="")
        for i, (kind, outcome) in enumerate(gates)
    ]
    outcomes = [outcome for _, outcome in gates]
    clean = not {"fail", "hold"} & set(outcomes) and ("threshold", "pass") in gates and ("overfitting", "pass") in gates
    assert (verdict_of(results) == "pass") is clean
    assert (verdict_of(results) == "fail") is ("fail" in outcomes)


def test_the_rules_of_approval_are_those_of_the_stored_configuration(registry: FakeRegistry, tmp_path: Path, cache: Path) -> None:
    asked = {"model_name": MODEL, "approval": "mlflow_review", "approval_expires_hours": 2, "requester_may_approve": False}
    evidence = verified_evidence(
        registry, MODEL, Candidate(tmp_path / "v1", config=make_config(registry=asked)).register(registry, "r"), cache
    )
    assert evidence.rules == Rules(policy="mlflow_review", expires_hours=2, requester_may_approve=False)


def test_a_version_from_before_the_rules_is_held_to_the_defaults(registry: FakeRegistry, tmp_path: Path, cache: Path) -> None:
    stored = make_config().as_json()
    stored["registry"] = {"model_name": MODEL, "approval": "mlflow_review"}
    candidate = Candidate(tmp_path / "v1", stored_config=stored, config_digest=stored_config_digest(stored))
    evidence = verified_evidence(registry, MODEL, candidate.register(registry, "run"), cache)
    assert evidence.rules == Rules(policy="mlflow_review", expires_hours=168)


def test_the_report_digest_of_the_evidence_is_that_of_its_bytes(registry: FakeRegistry, tmp_path: Path, cache: Path) -> None:
    evidence = verified_evidence(registry, MODEL, Candidate(tmp_path / "v1").register(registry, "run"), cache)
    tags = registry.tags(MODEL, evidence.version)
    assert tags is not None
    assert evidence.gate_report_digest == tags[GATE_REPORT_TAG]
