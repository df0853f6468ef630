"""Builds registered versions whose evidence holds, and lets a test bend any part of it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from pipeline_config.data import SensitiveKind
from pipeline_config.loading import config_digest
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import GateReport, GateResult, Outcome, Verdict
from tasks.files import file_digests, read_json, sha256_file, write_json
from tasks.manifest import MANIFEST, TRAIN_ROWS, BaseIdentity, Manifest, write_manifest
from tasks.registry.port import (
    ARTIFACT_TAG,
    CONFIG,
    GATE_REPORT,
    GATE_REPORT_TAG,
    PARITY,
    PREDICTIONS,
    RUN_TAG,
    VERDICT_TAG,
    Registry,
)

MODEL = "routing"
BASE = BaseIdentity(name_or_path="base", revision=None, digest="ba5e" * 16, dtype="float32")
INSTRUCTION = "Route this ticket."
PASSED: dict[str, Outcome] = {"threshold": "pass", "improvement": "pass", "non_inferiority": "not_applicable", "overfitting": "pass"}


def make_config(**changes: Any) -> PipelineConfig:
    """A configuration with one gate of each kind, named after its kind."""
    values: dict[str, Any] = {
        "environment": "local",
        "data": {"source": {"path": "/data/tickets.jsonl"}},
        "gates": {
            "threshold": {"kind": "threshold", "threshold": 0.8},
            "improvement": {"kind": "improvement"},
            "non_inferiority": {"kind": "non_inferiority"},
            "overfitting": {"kind": "overfitting"},
        },
        "registry": {"model_name": MODEL, "approval": "auto"},
    }
    return PipelineConfig.model_validate(values | changes)


def make_artifact(
    folder: Path,
    weights: str = "weights",
    base: BaseIdentity = BASE,
    instruction: str | None = INSTRUCTION,
    masked_kinds: tuple[SensitiveKind, ...] = (),
    method: str = "lora",
) -> str:
    """Writes what training leaves behind, with text for weights; returns the artifact digest."""
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_text(weights)
    (folder / "adapter_config.json").write_text("{}")
    pl.DataFrame({"row_id": ["1"], "digest": ["d"]}).write_parquet(folder / TRAIN_ROWS)
    manifest = Manifest(
        method=method,
        base=base,
        instruction=instruction,
        labels=None,
        max_new_tokens=16,
        data_digest="data",
        code_revision=None,
        masked_kinds=masked_kinds,
        files=file_digests(folder),
    )
    return write_manifest(folder, manifest)


@dataclass
class Candidate:
    """A version on its way into a registry. Change a field before :meth:`register` to bend the evidence."""

    folder: Path
    artifact: Path | None = None
    weights: str = "weights"
    verdict: Verdict = "pass"
    outcomes: dict[str, Outcome] = field(default_factory=lambda: dict(PASSED))
    config: PipelineConfig = field(default_factory=make_config)
    stored_config: dict[str, Any] | None = None
    judged_artifact: str | None = None
    config_digest: str | None = None
    rejudges: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    parity: list[dict[str, Any]] = field(default_factory=list)
    base: BaseIdentity = BASE
    description: str = ""

    def register(self, registry: Registry, run_id: str, model_name: str = MODEL) -> int:
        """Writes artifact and evidence, and registers them."""
        artifact = self.artifact or self.folder / "artifact"
        if self.artifact is None:
            make_artifact(artifact, self.weights, self.base)
        digest = Manifest.model_validate(read_json(artifact / MANIFEST)).digest
        self.folder.mkdir(exist_ok=True)
        report = GateReport(
            artifact_digest=self.judged_artifact or digest,
            data_digest="data",
            config_digest=self.config_digest or config_digest(self.config),
            gates=tuple(_gate(kind, outcome) for kind, outcome in self.outcomes.items()),
            verdict=self.verdict,
            rejudges=self.rejudges,
        )
        files = {name: self.folder / name for name in (GATE_REPORT, CONFIG, PREDICTIONS, PARITY)}
        files[GATE_REPORT].write_text(report.model_dump_json())
        write_json(files[CONFIG], self.stored_config or self.config.as_json())
        pl.DataFrame({"row_id": ["1"], "expected": ["a"], "base": ["b"], "tuned": ["a"]}).write_parquet(files[PREDICTIONS])
        files[PARITY].write_text("".join(f"{json.dumps(row)}\n" for row in self.parity))
        tags = {
            VERDICT_TAG: self.verdict,
            ARTIFACT_TAG: digest,
            GATE_REPORT_TAG: sha256_file(files[GATE_REPORT]),
            RUN_TAG: run_id,
        }
        return registry.register(model_name, run_id, artifact, files, tags | self.tags, self.description)


def _gate(kind: str, outcome: Literal["pass", "fail", "hold", "not_applicable"]) -> GateResult:
    return GateResult(
        name=kind, kind=kind, metric=None, value=0.9, threshold=0.8, interval=None, rows=400, outcome=outcome, reason=f"{kind} {outcome}"
    )
