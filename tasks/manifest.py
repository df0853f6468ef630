"""The manifest of a version: which base, which method, which files. Its digest is the identity of what is approved and served."""

from pathlib import Path
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from pipeline_config.data import SensitiveKind
from pipeline_config.errors import ModelError
from tasks.artifacts import Record
from tasks.files import file_digests, read_json, sha256_json, write_json

MANIFEST = "manifest.json"
TRAIN_ROWS = "train_rows.parquet"
"""Digest and split side of every training and validation row; kept in each version, so that a later comparison can leave them out."""

Dtype = Literal["bfloat16", "float32"]
Quantization = Literal["nf4"]
"""How the projections of a base are held: NF4 with double quantisation, computed in the base's dtype."""


class BaseIdentity(Record):
    """The base model that an adapter belongs to, in the precision that it was trained and measured with."""

    name_or_path: str
    revision: str | None
    digest: str
    dtype: Dtype
    quantization: Quantization | None = None

    @property
    def key(self) -> "BaseKey":
        """What has to be the same for two bases to give the same answers, whatever they are called."""
        return self.digest, self.dtype, self.quantization

    @property
    def precision(self) -> str:
        """Such as `bfloat16`, or `nf4 (bfloat16)`."""
        return self.dtype if self.quantization is None else f"{self.quantization} ({self.dtype})"

    @model_serializer(mode="wrap")
    def _as_before_quantization(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without quantisation it is what it was before there was any, so the digests of older versions hold."""
        content: dict[str, Any] = write(self)
        return {name: value for name, value in content.items() if name != "quantization" or value is not None}


BaseKey = tuple[str, Dtype, Quantization | None]
"""Digest, dtype and quantisation of a base."""


class Manifest(Record):
    """What a version consists of.

    `files` has the SHA-256 of every other file of the folder. `masked_kinds` are the kinds of personal data that stood masked in its
    training rows, and that have to be masked in what it is asked (`tasks.masking`).
    """

    format: Literal[1] = 1
    method: str
    base: BaseIdentity
    instruction: str | None
    labels: tuple[str, ...] | None
    max_new_tokens: int
    data_digest: str
    code_revision: str | None
    masked_kinds: tuple[SensitiveKind, ...] = ()
    files: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest's canonical JSON, and through `files` of every byte of the version."""
        return sha256_json(self.content())

    def content(self) -> dict[str, Any]:
        """What is written. Without masked kinds it is what it was before there were any, so the digests of older versions hold."""
        return self.model_dump(mode="json", exclude=None if self.masked_kinds else {"masked_kinds"})


def write_manifest(folder: Path, manifest: Manifest) -> str:
    """Completes a version's folder; returns the artifact digest."""
    write_json(folder / MANIFEST, manifest.content())
    return manifest.digest


def read_manifest(folder: Path) -> Manifest:
    """Reads a version's manifest and holds every file of the folder against it.

    Raises:
        ModelError: a file is missing, was changed or does not belong there, or the manifest itself cannot be read.
    """
    if not (folder / MANIFEST).is_file():
        raise ModelError(
            "the version has no manifest", where=str(folder), expected=MANIFEST, hint="only folders written by tunegate can be used"
        )
    try:
        manifest = Manifest.model_validate(read_json(folder / MANIFEST))
    except ValueError as error:
        raise ModelError(f"the version's manifest cannot be read: {error}", where=str(folder / MANIFEST), expected="JSON") from error
    found = file_digests(folder, leave_out=[MANIFEST])
    if found != manifest.files:
        wrong = sorted({name for name, _ in set(found.items()) ^ set(manifest.files.items())})
        raise ModelError(
            f"{len(wrong)} file(s) do not match the manifest: {', '.join(wrong[:5])}",
            where=str(folder),
            expected="the bytes that were trained and judged",
            hint="fetch the version again, or go back to the last good one",
        )
    return manifest
