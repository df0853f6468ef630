"""A version and its base from two folders, as evaluation and the model server hold them in memory."""

from dataclasses import replace
from pathlib import Path

from pipeline_config.errors import ModelError
from pipeline_config.model import ModelConfig
from tasks.engine import TransformersEngine
from tasks.files import read_json
from tasks.manifest import Manifest, read_manifest
from tasks.models import load_base

NAME = "version"
"""What :func:`open_version` calls the adapter."""


def open_version(artifact: Path, base: Path) -> TransformersEngine:
    """Loads a version under the name :data:`NAME` beside its base.

    Args:
        artifact: the version's folder with its manifest.
        base: folder of the base; its files are taken for those that the manifest means, so check them first.

    Raises:
        ModelError: the artifact is damaged or does not fit the base, or the base cannot be loaded.
    """
    manifest = read_manifest(artifact)
    if not base.is_dir():
        raise ModelError("the base's folder is not there", where=str(base), expected="a folder with config.json and safetensors")
    config = ModelConfig(name_or_path=str(base.absolute()), dtype=manifest.base.dtype)
    # A base can have been identified by what it was made from, which its files alone do not tell.
    engine = TransformersEngine(replace(load_base(config, base, manifest.base.quantization), identity=manifest.base))
    engine.load_adapter(NAME, artifact)
    return engine


def needs_tunegate(artifact: Path, manifest: Manifest) -> str | None:
    """Why a version cannot be used as it was judged without tunegate, as a sentence; null if PEFT or transformers alone can."""
    config = artifact / "adapter_config.json"
    if config.is_file() and str(read_json(config).get("peft_type", "")).startswith("TUNEGATE"):
        return f"PEFT does not know weights of method `{manifest.method}`: they need tunegate."
    if manifest.masked_kinds:
        masked = ", ".join(manifest.masked_kinds)
        return f"{masked} stood masked in training and have to be masked in what it is asked: that needs tunegate."
    return None
