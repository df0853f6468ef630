"""Lays a version out in a folder for use without this project: base and adapter side by side, or one merged model."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

from pipeline_config.errors import ConfigError, ModelError, RegistryError
from tasks.artifacts import Record
from tasks.files import MODEL_CARD, file_digests, read_json, sha256_file, write_atomically, write_json
from tasks.manifest import MANIFEST, TRAIN_ROWS, Dtype, Manifest, read_manifest
from tasks.registry.merging import prove_merged, read_answers, require_mergeable, write_merged
from tasks.registry.opening import needs_tunegate
from tasks.registry.port import (
    ARTIFACT_TAG,
    EVIDENCE_FOLDER,
    EVIDENCE_TAG,
    GATE_REPORT,
    GATE_REPORT_TAG,
    MODEL_FOLDER,
    PARITY,
    VERDICT_TAG,
    BaseStore,
    Registry,
    adapter_name,
)
from tasks.registry.sealing import broken_seal, read_seal
from tasks.registry.usage import ADAPTER, BASE, MODEL, USE, Layout, usage
from tasks.registry.verdict import fetch

LAID_OUT = "version.json"
"""File of the layout that says what lies there, with the SHA-256 of every other file."""


class Pulled(Record):
    """What lies in a folder now. `compared` is the number of answers that a merged model was held against."""

    adapter_name: str
    verdict: str
    layout: Layout
    compared: int | None
    notes: tuple[str, ...]


def pull(
    registry: Registry, bases: BaseStore, model_name: str, version: int, cache: Path, target: Path,
    *, merged: bool = False, dtype: Dtype | None = None,
) -> Pulled:  # fmt: skip
    """Fetches a version, proves that its bytes are those that were registered, and lays it out. A version of any verdict can be pulled.

    Args:
        cache: folder of version copies (`tasks.files.version_cache`).
        target: a folder that is empty or does not exist. After an error it is as it was before.
        merged: one model in place of base and adapter.
        dtype: precision of a merged model; null: the base's.

    Raises:
        ConfigError: the folder is not empty.
        RegistryError: the registry does not answer, or there is no such version, or its base is not stored.
        ModelError: its files are not those that were registered, or it cannot be merged so that its answers stay the same.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError("the folder is not empty", where=str(target), expected="an empty folder, or one that does not exist")
    copy, tags = checked_copy(registry, model_name, version, cache)
    manifest = read_manifest(copy / MODEL_FOLDER)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        laid = _merge(draft, copy, manifest, bases, dtype) if merged else _lay_beside(draft, copy, manifest, bases)
        note = needs_tunegate(copy / MODEL_FOLDER, manifest)
        pulled = Pulled(
            adapter_name=adapter_name(model_name, version), verdict=tags.get(VERDICT_TAG, "none"), layout=laid.layout,
            compared=laid.compared, notes=(note,) if note else (),
        )  # fmt: skip
        _describe(draft, copy, manifest, tags, pulled, laid.changed)
        draft.chmod(0o755)
        if target.exists():
            target.rmdir()
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return pulled


def checked_copy(registry: Registry, model_name: str, version: int, cache: Path) -> tuple[Path, dict[str, str]]:
    """A version's copy in the cache, proven to be what was registered, and its tags.

    Raises:
        RegistryError: the registry does not answer, or there is no such version.
        ModelError: its files are others.
    """
    name, tags = adapter_name(model_name, version), registry.tags(model_name, version)
    if tags is None:
        raise RegistryError(f"{model_name} has no version {version}", where=name, expected="a registered version")
    cache.mkdir(parents=True, exist_ok=True)
    copy = fetch(registry, model_name, version, tags, cache)
    manifest, report = read_manifest(copy / MODEL_FOLDER), copy / EVIDENCE_FOLDER / GATE_REPORT
    fault = broken_seal(copy, tags)
    if manifest.digest != tags.get(ARTIFACT_TAG):
        fault = f"its files are artifact {manifest.digest[:12]}"
    elif not report.is_file() or sha256_file(report) != tags.get(GATE_REPORT_TAG):
        fault = "its gate report is not the one that it was registered with, or missing"
    if fault:
        raise ModelError(fault, where=name, expected="the bytes that were registered, as the version's tags name them")
    return copy, tags


class _Laid(NamedTuple):
    """`changed` says of files that are not byte for byte the registered ones how they differ."""

    layout: Layout
    compared: int | None = None
    changed: dict[str, str] = {}  # noqa: RUF012


def _lay_beside(draft: Path, copy: Path, manifest: Manifest, bases: BaseStore) -> _Laid:
    artifact = copy / MODEL_FOLDER
    config = artifact / "adapter_config.json"
    if not config.is_file():
        _copy_without(artifact, draft / MODEL, {MANIFEST, TRAIN_ROWS})
        return _Laid("model")
    _fetch_base(draft / BASE, copy, bases)
    settings = read_json(config)
    if str(settings["peft_type"]).startswith("TUNEGATE"):
        # tunegate holds a version against its manifest, which names every file.
        _copy_without(artifact, draft / ADAPTER, set())
        return _Laid("tunegate")
    _copy_without(artifact, draft / ADAPTER, {MANIFEST, TRAIN_ROWS})
    own = f"./{BASE}"
    write_json(draft / ADAPTER / config.name, {**settings, "base_model_name_or_path": own, "revision": None})
    changed = (
        f"base_model_name_or_path is {own}, which PEFT reads from the working directory, in place of {settings['base_model_name_or_path']}"
    )
    return _Laid("adapter", changed={f"{ADAPTER}/{config.name}": changed})


def _merge(draft: Path, copy: Path, manifest: Manifest, bases: BaseStore, dtype: Dtype | None) -> _Laid:
    require_mergeable(manifest)
    artifact, base = copy / MODEL_FOLDER, draft / BASE
    rows = read_answers(copy / EVIDENCE_FOLDER / PARITY)
    _fetch_base(base, copy, bases)
    write_merged(artifact, base, draft / MODEL, dtype)
    prove_merged(draft / MODEL, artifact, base, rows, dtype)
    shutil.rmtree(base)
    precision = dtype or manifest.base.dtype
    return _Laid("merged", len(rows), {f"{MODEL}/*.safetensors": f"base and adapter merged by PEFT, in {precision}"})


def _fetch_base(folder: Path, copy: Path, bases: BaseStore) -> None:
    sealed = read_seal(copy)
    if sealed is None or sealed.base is None:
        raise RegistryError(
            "the version does not name the files of its base", where=str(copy), expected="a version with evidence.json",
            hint="it was registered before bases were stored; run the pipeline again to register it anew",
        )  # fmt: skip
    folder.mkdir()
    bases.fetch(sealed.base, folder)


def _copy_without(source: Path, target: Path, names: set[str]) -> None:
    shutil.copytree(source, target, ignore=lambda folder, found: names & set(found))


def _describe(draft: Path, copy: Path, manifest: Manifest, tags: Mapping[str, str], pulled: Pulled, changed: Mapping[str, str]) -> None:
    """Model card, how to use it, and what lies there."""
    card = copy / EVIDENCE_FOLDER / MODEL_CARD
    if card.is_file():
        shutil.copyfile(card, draft / MODEL_CARD)
    write_atomically(draft / USE, usage(manifest, pulled.adapter_name, pulled.verdict, pulled.layout, pulled.notes).encode())
    write_json(
        draft / LAID_OUT,
        {
            "version": pulled.adapter_name, "verdict": pulled.verdict, "layout": pulled.layout, "method": manifest.method,
            "artifact_digest": manifest.digest, "gate_report_digest": tags.get(GATE_REPORT_TAG), "evidence_digest": tags.get(EVIDENCE_TAG),
            "base_digest": manifest.base.digest, "dtype": manifest.base.dtype, "quantization": manifest.base.quantization,
            "answers_compared": pulled.compared, "changed": dict(changed), "files": file_digests(draft),
        },
    )  # fmt: skip
