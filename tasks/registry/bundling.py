"""Puts together all that a version consists of beside its artifact: evidence, package, base, seal, tags and description."""

from pathlib import Path

from pipeline_config.loading import config_digest
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, GateEvidence, PreparedData, Record, RunContext, TrainedModel
from tasks.manifest import Manifest, read_manifest
from tasks.methods import find_method
from tasks.methods.method import public_name
from tasks.models import base_files
from tasks.registry.evidence import collect, describe, tags_of
from tasks.registry.mlflow_package import write_package
from tasks.registry.opening import needs_tunegate
from tasks.registry.port import EVIDENCE_MANIFEST, BaseStore, StoredBase
from tasks.registry.sealing import EvidenceManifest, digests_of, seal
from tasks.rows import prompt_of, read_rows


class Bundle(Record):
    """What `tasks.registry.port.Registry.register` is given beside the artifact."""

    evidence: dict[str, Path]
    package: dict[str, Path]
    tags: dict[str, str]
    description: str


def bundle(
    folder: Path,
    config: PipelineConfig,
    context: RunContext,
    prepared: PreparedData,
    trained: TrainedModel,
    evaluated: EvaluationResult,
    judged: GateEvidence,
    bases: BaseStore,
) -> Bundle:
    """Writes what is not a file yet into an existing folder, and stores the base if nobody has done so before.

    Raises:
        PromotionRefused: see `tasks.registry.evidence.collect`.
        RegistryError: the base could not be stored.
    """
    manifest = read_manifest(trained.artifact)
    evidence = collect(folder, config, context, prepared, evaluated, judged)
    base = _keep_base(config, context.workspace, manifest, bases)
    alone = needs_tunegate(trained.artifact, manifest)
    metadata = {
        "artifact_digest": manifest.digest, "base_digest": manifest.base.digest, "method": manifest.method, "needs_tunegate": alone or False
    }  # fmt: skip
    example = prompt_of(read_rows(prepared.folder / "test.parquet")[0])
    package = write_package(folder / "package", manifest, example, metadata)
    sealed = EvidenceManifest(
        run_id=context.run_id, artifact_digest=judged.report.artifact_digest, gate_report_digest=judged.digest,
        data_digest=judged.report.data_digest, config_digest=config_digest(config), code_revision=manifest.code_revision,
        files=digests_of(evidence), package=digests_of(package), base=base,
    )  # fmt: skip
    digest = seal(folder / EVIDENCE_MANIFEST, sealed)
    return Bundle(
        evidence={**evidence, EVIDENCE_MANIFEST: folder / EVIDENCE_MANIFEST},
        package=package,
        tags=tags_of(config, context, judged, manifest, digest),
        description=describe(config, context, evaluated, judged, manifest, alone),
    )


def _keep_base(config: PipelineConfig, workspace: Path, manifest: Manifest, bases: BaseStore) -> StoredBase | None:
    """Stores the base that a version needs; a whole model needs none."""
    if find_method(config.training.method).own_tree:
        return None
    files = base_files(config.model, workspace)
    base = StoredBase(digest=manifest.base.digest, files=digests_of(files))
    bases.keep(base, public_name(config.model.name_or_path), files)
    return base
