"""Versions of every method as the pipeline registers them, on a tiny base: with evidence, package, stored base and seal."""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from pipeline_config.data import SensitiveKind
from pipeline_config.loading import config_digest
from pipeline_config.model import ModelConfig
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, Figures, GateEvidence, GateReport, GateResult, RunContext, TrainedModel
from tasks.chat import as_judged
from tasks.engine import TransformersEngine
from tasks.files import file_digests, run_folder, sha256_file, write_json
from tasks.manifest import MANIFEST, TRAIN_ROWS, Manifest, read_manifest, write_manifest
from tasks.methods import find_method
from tasks.models import load_base
from tasks.registry.bundling import Bundle, bundle
from tasks.registry.port import BaseStore, Registry
from tasks.rows import Row, prompt_of
from tests.adapted import attach, shake
from tests.builders import INSTRUCTION, make_prepared, make_row, tiny_base
from tests.fakes import FakeBaseStore, FakeRegistry
from tests.versions import MODEL, make_config

LIMIT = 6
"""Most tokens of an answer."""


class Packaged(NamedTuple):
    """A registered version, and what its adapter answered to the test rows. `root` is the folder that all of it lies in."""

    registry: Registry
    bases: BaseStore
    version: int
    artifact: Path
    base: ModelConfig
    rows: list[Row]
    answers: list[str]
    parts: Bundle
    root: Path

    @property
    def cache(self) -> Path:
        return self.root / "versions"


def package(
    root: Path, method: str, *, registry: Registry | None = None, bases: BaseStore | None = None, run_id: str = "run",
    model_name: str = MODEL, rows: int = 12, dtype: str = "float32", pages: bool = True,
    masked_kinds: tuple[SensitiveKind, ...] = (),
) -> Packaged:  # fmt: skip
    """Registers a version with random weights whose own answers are the ones judged.

    Args:
        registry, bases: real ones; null: fakes.
        run_id: of the tracking server.
        pages: a run's page and model card exist.
        masked_kinds: stood masked in its training rows.
    """
    registry, bases = registry or FakeRegistry(root / "registry"), bases or FakeBaseStore(root / "bases")
    base = tiny_base(root / "base").model_copy(update={"dtype": dtype})
    artifact, test = (
        make_trained_artifact(root / "trained", base, method, masked_kinds),
        [make_row(f"ticket {n}: vpn {n * n}", "?") for n in range(rows)],
    )
    answers = ask(base, artifact, test)
    config = make_config(model=base.model_dump(), training={"method": method}, registry={"model_name": model_name, "approval": "auto"})
    context = RunContext(run_id="run", workspace=root, mlflow_run_id=run_id, mlflow_run_url="http://mlflow/run", prefect_run_url=None)
    if pages:
        for name in ("report.html", "README.md"):
            run_folder(root, "run").mkdir(parents=True, exist_ok=True)
            (run_folder(root, "run") / name).write_text(name)
    (root / "bundle").mkdir()
    judged = judge(root, artifact, config)
    parts = bundle(
        root / "bundle", config, context, make_prepared(root / "prepared", test, test, test), trained_of(root, artifact, method),
        evaluate(root / "evaluated", test, answers), judged, bases,
    )  # fmt: skip
    version = registry.register(model_name, run_id, artifact, parts.evidence, parts.tags, parts.description, parts.package)
    return Packaged(registry, bases, version, artifact, base, test, answers, parts, root)


def make_trained_artifact(folder: Path, base: ModelConfig, method: str, masked_kinds: tuple[SensitiveKind, ...]) -> Path:
    """What the training process leaves behind."""
    loaded = load_base(base, folder, find_method(method).quantization)
    artifact = folder / "artifact"
    artifact.mkdir(parents=True)
    find_method(method).save(shake(attach(method, loaded, seed=3), seed=3, std=0.3).eval(), artifact, base.name_or_path)
    loaded.tokenizer.save_pretrained(artifact)
    as_judged(loaded.tokenizer, LIMIT).save_pretrained(artifact)
    pl.DataFrame({"row_id": ["1"], "digest": ["d"]}).write_parquet(artifact / TRAIN_ROWS)
    manifest = Manifest(
        method=method, base=loaded.identity, instruction=INSTRUCTION, labels=None, max_new_tokens=LIMIT, data_digest="data",
        code_revision="c0de", masked_kinds=masked_kinds, files=file_digests(artifact, leave_out=[MANIFEST]),
    )  # fmt: skip
    write_manifest(artifact, manifest)
    return artifact


def ask(base: ModelConfig, artifact: Path, rows: list[Row]) -> list[str]:
    """The adapter's answers, each given alone."""
    manifest = read_manifest(artifact)
    engine = TransformersEngine(load_base(base, artifact, manifest.base.quantization))
    engine.load_adapter("judged", artifact)
    prompts = [prompt_of(row) for row in rows]
    return [answer.text for answer in engine.answer(prompts, adapter="judged", max_new_tokens=manifest.max_new_tokens)]


def evaluate(folder: Path, rows: list[Row], answers: list[str]) -> EvaluationResult:
    folder.mkdir()
    frame = pl.DataFrame({"row_id": [row["row_id"] for row in rows], "expected": "?", "base": "?", "tuned": answers})
    frame.write_parquet(folder / "predictions.parquet")
    return EvaluationResult(
        folder=folder, rows=len(rows), base=Figures(values={"accuracy": 0.1}), tuned=Figures(values={"accuracy": 0.9}), tfidf=Figures(),
        champion=None, champion_name=None, champion_fault=None, champion_seen_rows=0, tuned_train_accuracy=None, base_constrained=True,
    )  # fmt: skip


def judge(folder: Path, artifact: Path, config: PipelineConfig) -> GateEvidence:
    gates = tuple(
        GateResult(
            name=kind, kind=kind, metric=None, value=0.9, threshold=0.8, interval=None, rows=400, outcome="pass", reason=f"{kind} passed"
        )
        for kind in ("threshold", "improvement", "non_inferiority", "overfitting")
    )
    report = GateReport(
        artifact_digest=read_manifest(artifact).digest, data_digest="data", config_digest=config_digest(config), gates=gates, verdict="pass"
    )  # fmt: skip
    path = folder / "gate_report.json"
    write_json(path, report.model_dump(mode="json"))
    return GateEvidence(path=path, digest=sha256_file(path), report=report)


def trained_of(folder: Path, artifact: Path, method: str) -> TrainedModel:
    manifest = read_manifest(artifact)
    return TrainedModel(
        folder=artifact.parent, artifact_digest=manifest.digest, base_digest=manifest.base.digest, method=method, steps=20, shipped_step=20,
        curve=(), stopped_early=False, layout="packed", supervised_tokens=100, total_tokens=1000, tokens_per_second=50.0,
        peak_memory_bytes=1 << 30,
    )  # fmt: skip
