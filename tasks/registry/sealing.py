"""The seal on a version's evidence: one file that names every other with its digest, and whose own digest is a tag of the version."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from pipeline_config.errors import RegistryError
from tasks.artifacts import Record
from tasks.files import file_digests, read_json, sha256_file, write_json
from tasks.registry.port import EVIDENCE_FOLDER, EVIDENCE_MANIFEST, EVIDENCE_TAG, StoredBase


class EvidenceManifest(Record):
    """What a version was registered with, beside its artifact.

    `files` are those of the evidence folder, `package` those beside both folders. `base` is the base model that the version needs; null if
    the version is a whole model. The digests of data and code say what the artifact was made from.
    """

    run_id: str
    artifact_digest: str
    gate_report_digest: str
    data_digest: str
    config_digest: str
    code_revision: str | None
    files: dict[str, str]
    package: dict[str, str]
    base: StoredBase | None


def digests_of(files: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each file, by the name that it gets."""
    return {name: sha256_file(path) for name, path in sorted(files.items())}


def seal(path: Path, manifest: EvidenceManifest) -> str:
    """Writes the manifest; returns its digest, for tag :data:`EVIDENCE_TAG`."""
    write_json(path, manifest.model_dump(mode="json"))
    return sha256_file(path)


def read_seal(folder: Path) -> EvidenceManifest | None:
    """The manifest of a version's copy; null for a version that was registered before there was one.

    Raises:
        ValueError: it cannot be read.
    """
    path = folder / EVIDENCE_FOLDER / EVIDENCE_MANIFEST
    return EvidenceManifest.model_validate(read_json(path)) if path.is_file() else None


def broken_seal(folder: Path, tags: Mapping[str, str]) -> str | None:
    """What is wrong with the evidence of a version's copy, in words; null if it is what the version was registered with.

    A version without the tag was registered before there was a seal; it has no such file either.
    """
    path, tag = folder / EVIDENCE_FOLDER / EVIDENCE_MANIFEST, tags.get(EVIDENCE_TAG)
    if tag is None:
        return f"it has {EVIDENCE_MANIFEST} and no tag {EVIDENCE_TAG}" if path.exists() else None
    if not path.is_file():
        return f"it has no {EVIDENCE_FOLDER}/{EVIDENCE_MANIFEST}"
    if sha256_file(path) != tag:
        return f"its {EVIDENCE_MANIFEST} is not the one that it was registered with"
    try:
        manifest = EvidenceManifest.model_validate(read_json(path))
    except (ValidationError, ValueError) as error:
        return f"its {EVIDENCE_MANIFEST} cannot be read: {error}"
    found = file_digests(folder / EVIDENCE_FOLDER, leave_out=[EVIDENCE_MANIFEST])
    package = digests_of({path.name: path for path in folder.iterdir() if path.is_file()})
    wrong = sorted({name for name, _ in (found.items() ^ manifest.files.items()) | (package.items() ^ manifest.package.items())})
    return f"{len(wrong)} file(s) of its evidence were changed: {', '.join(wrong[:5])}" if wrong else None


def require_files(base: StoredBase, folder: Path) -> None:
    """Holds every file of a folder against what a version recorded of its base.

    Raises:
        RegistryError: a file is missing, was changed or does not belong there.
    """
    wrong = sorted({name for name, _ in file_digests(folder).items() ^ base.files.items()})
    if wrong:
        raise RegistryError(
            f"{len(wrong)} file(s) of base {base.digest[:12]} are not those that the version recorded: {', '.join(wrong[:5])}",
            where=str(folder), expected="the bytes that it was trained and judged with",
        )  # fmt: skip
