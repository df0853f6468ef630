"""The rule "only on pass", enforced where it acts: nothing is believed that the version's own bytes do not prove."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

from pydantic import BaseModel, ValidationError

from pipeline_config.deployment import DeploymentConfig
from pipeline_config.errors import ModelError, PromotionRefused
from pipeline_config.loading import stored_config_digest
from pipeline_config.registry import Policy, RegistryConfig
from tasks.artifacts import GateReport, Record
from tasks.files import exclusive, read_json, sha256_file
from tasks.manifest import read_manifest
from tasks.registry.approval import Rules
from tasks.registry.port import (
    ARTIFACT_TAG,
    CONFIG,
    EVIDENCE_FOLDER,
    EVIDENCE_TAG,
    GATE_REPORT,
    GATE_REPORT_TAG,
    MODEL_FOLDER,
    PARITY,
    VERDICT_TAG,
    Registry,
    adapter_name,
)
from tasks.registry.sealing import broken_seal
from tasks.verdict import verdict_of

_log = logging.getLogger(__name__)


class Evidence(Record):
    """A version whose files were checked: they are the ones that passed. `folder` holds a copy of both its folders."""

    model_name: str
    version: int
    adapter_name: str
    folder: Path
    artifact_digest: str
    gate_report_digest: str
    evidence_digest: str | None = None
    report: GateReport
    rules: Rules
    deployment: DeploymentConfig

    @property
    def artifact(self) -> Path:
        """The folder that is served."""
        return self.folder / MODEL_FOLDER

    @property
    def parity(self) -> Path:
        """Test prompts with the answers that were judged, one JSON object a line."""
        return self.folder / EVIDENCE_FOLDER / PARITY


class _StoredRegistry(BaseModel):
    """A version from before a key existed is held to that key's default."""

    model_name: str
    approval: Policy
    approval_expires_hours: float | None = RegistryConfig().approval_expires_hours
    requester_may_approve: bool = True
    require_authenticated_reviewer: bool = False

    def rules(self) -> Rules:
        return Rules(
            policy=self.approval,
            expires_hours=self.approval_expires_hours,
            requester_may_approve=self.requester_may_approve,
            require_authenticated_reviewer=self.require_authenticated_reviewer,
        )


class _StoredConfig(BaseModel):
    """The few values of a stored configuration that decide here. Others may come and go with later versions of tunegate."""

    environment: Literal["local", "production"]
    registry: _StoredRegistry
    deployment: DeploymentConfig
    gates: dict[str, object]


def verified_evidence(registry: Registry, model_name: str, version: int, cache: Path) -> Evidence:
    """Fetches a version into the cache, if it is not there yet, and proves that it may go to production.

    Args:
        cache: folder of version copies (`tasks.files.version_cache`).

    Raises:
        PromotionRefused: with the first reason found.
        RegistryError: the registry does not answer.
    """
    name = adapter_name(model_name, version)
    tags = registry.tags(model_name, version)
    if tags is None:
        raise _refused(name, f"{model_name} has no version {version}", "a registered version")
    if tags.get(VERDICT_TAG) != "pass":
        raise _refused(name, f"its verdict is {tags.get(VERDICT_TAG, 'missing')}", f"tag {VERDICT_TAG} to be pass")
    folder = fetch(registry, model_name, version, tags, cache)
    report = _checked_report(name, folder, tags)
    if fault := broken_seal(folder, tags):
        raise _refused(name, fault, f"the evidence that it was registered with, by tag {EVIDENCE_TAG}")
    config = _checked_config(name, folder, report, model_name)
    return Evidence(
        model_name=model_name,
        version=version,
        adapter_name=name,
        folder=folder,
        artifact_digest=report.artifact_digest,
        gate_report_digest=tags[GATE_REPORT_TAG],
        evidence_digest=tags.get(EVIDENCE_TAG),
        report=report,
        rules=config.registry.rules(),
        deployment=config.deployment,
    )


def fetch(registry: Registry, model_name: str, version: int, tags: Mapping[str, str], cache: Path) -> Path:
    """The version's copy in the cache, with both its folders. A copy that no longer is what the tags say is fetched again, once.

    Raises:
        RegistryError: the registry does not answer, or lacks the files.
    """
    target = cache / adapter_name(model_name, version)
    with exclusive(cache / f".{target.name}.lock"):
        if target.exists() and not _intact(target, tags):
            _log.warning("the copy of %s does not match its digests and is fetched again (%s)", target.name, target)
            shutil.rmtree(target)
        if not target.exists():
            draft = Path(mkdtemp(prefix=f".{target.name}.", dir=cache))
            try:
                registry.download(model_name, version, draft)
                draft.rename(target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return target


def _intact(folder: Path, tags: Mapping[str, str]) -> bool:
    report = folder / EVIDENCE_FOLDER / GATE_REPORT
    if broken_seal(folder, tags) is not None:
        return False
    try:
        return read_manifest(folder / MODEL_FOLDER).digest == tags.get(ARTIFACT_TAG) and sha256_file(report) == tags.get(GATE_REPORT_TAG)
    except (ModelError, OSError):
        return False


def _checked_report(name: str, folder: Path, tags: dict[str, str]) -> GateReport:
    path = folder / EVIDENCE_FOLDER / GATE_REPORT
    if not path.is_file():
        raise _refused(name, "it has no gate report", f"{EVIDENCE_FOLDER}/{GATE_REPORT}")
    if sha256_file(path) != tags.get(GATE_REPORT_TAG):
        raise _refused(name, "its gate report is not the one that it was registered with", f"the SHA-256 in tag {GATE_REPORT_TAG}")
    try:
        report = GateReport.model_validate_json(path.read_bytes())
        digest = read_manifest(folder / MODEL_FOLDER).digest
    except ValidationError as error:
        raise _refused(name, f"its gate report cannot be read: {error}", f"{EVIDENCE_FOLDER}/{GATE_REPORT}") from error
    except ModelError as error:
        raise _refused(name, error.what, error.expected) from error
    if report.rejudges is not None:
        raise _refused(name, f"its gate report judges a finished run again ({report.rejudges[:12]})", "the report of a run of its own")
    if report.artifact_digest != digest:
        raise _refused(name, f"its gate report judges another artifact ({report.artifact_digest[:12]})", f"artifact {digest[:12]}")
    if tags.get(ARTIFACT_TAG) != digest:
        raise _refused(
            name, f"its files are artifact {digest[:12]}", f"artifact {tags.get(ARTIFACT_TAG, '(no tag)')[:12]} of tag {ARTIFACT_TAG}"
        )
    found = verdict_of(report.gates)
    if (report.verdict, found) != ("pass", "pass"):
        raise _refused(name, f"its report says {report.verdict} and its gates amount to {found}", "pass from both")
    return report


def _checked_config(name: str, folder: Path, report: GateReport, model_name: str) -> _StoredConfig:
    path = folder / EVIDENCE_FOLDER / CONFIG
    try:
        content = read_json(path)
        config = _StoredConfig.model_validate(content)
    except (OSError, ValueError) as error:
        raise _refused(name, f"its configuration cannot be read: {error}", f"{EVIDENCE_FOLDER}/{CONFIG}") from error
    if stored_config_digest(content) != report.config_digest:
        raise _refused(name, "its configuration is not the one that was judged", f"configuration {report.config_digest[:12]}")
    if config.registry.model_name != model_name:
        raise _refused(name, f"it was judged as a version of {config.registry.model_name}", f"a version of {model_name}")
    if missing := sorted(set(config.gates) - {gate.name for gate in report.gates}):
        raise _refused(name, f"its report lacks the gates {', '.join(missing)}", "every gate of its configuration")
    if config.environment == "production" and config.registry.approval == "auto":
        raise _refused(name, "its approval policy is auto in environment production", "a policy that asks a person")
    return config


def _refused(name: str, what: str, expected: str) -> PromotionRefused:
    return PromotionRefused(what, where=name, expected=expected, hint="only a version whose own evidence says pass goes to production")
