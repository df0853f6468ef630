"""Port: the model registry, as far as this pipeline needs one. What it holds is evidence; what is live is said by the ledger alone."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from tasks.artifacts import Record
from tasks.files import sha256_json

Alias = Literal["champion", "previous", "challenger"]

VERSION_FOLDER = "version"
"""Folder of a run with all that its version consists of, so that loading the version brings nothing else of the run."""

MODEL_FOLDER = "model"
"""Folder of a version with the artifact, as training left it."""

EVIDENCE_FOLDER = "evidence"
"""Folder of a version with what it was judged by."""

EVIDENCE_MANIFEST = "evidence.json"
"""File of the evidence folder with the SHA-256 of every other file there and of the package (`tasks.registry.sealing`)."""

GATE_REPORT, CONFIG, PREDICTIONS, PARITY = "gate_report.json", "config.json", "predictions.parquet", "parity.jsonl"
FIGURES = "figures.json"
"""Files of the evidence folder. Versions from before there were figures have none."""

VERDICT_TAG = "tunegate.verdict"
ARTIFACT_TAG = "tunegate.artifact_digest"
GATE_REPORT_TAG = "tunegate.gate_report_digest"
EVIDENCE_TAG = "tunegate.evidence_digest"
"""SHA-256 of :data:`EVIDENCE_MANIFEST`; versions that were registered before there was one have neither."""
RUN_TAG = "tunegate.run_id"

STATUS_TAG, STATUS_REASON_TAG = "approval_status", "approval_reason"
"""Tags that a reviewer sets."""

NOTE_TAG = "approval_note"
"""The answer to a reviewer: what became of the decision, or what was wrong with it and what to type."""

APPROVED_BY_TAG, REQUESTED_BY_TAG = "tunegate.approved_by", "tunegate.requested_by"
"""Who was logged in when a reviewer's tag was set and when the version was registered: `tasks.registry.stamps`."""

REQUESTER_TAG = "tunegate.requester"
"""Who started the run, as the machine or Prefect names them: no proof."""

POLICY_TAG, EXPIRES_TAG = "tunegate.approval_policy", "tunegate.approval_expires_hours"
"""How the version is approved, for lists. What decides is the configuration among its evidence."""

DECISION_TAG = "tunegate.decision"
"""Which decision of a reviewer's was seen last, and what was done: `tasks.registry.watching`."""

LEDGER_HEAD_TAG = "tunegate.ledger_head"
"""Hash of the ledger's entry that was about this version last: `tasks.registry.aliases`."""

ROLLED_OUT_TAG = "tunegate.rolled_out"
"""Hash of the ledger's decision by which the model server was proven to serve this version."""


class Listed(Record):
    """A version as lists have it. `created` is when it was registered, with a time zone."""

    model_name: str
    version: int
    created: datetime
    tags: dict[str, str]

    @property
    def adapter_name(self) -> str:
        """The name that the model server knows it by."""
        return adapter_name(self.model_name, self.version)


def adapter_name(model_name: str, version: int) -> str:
    """The name that the model server knows a version by. Versions are never numbered twice, so neither are names."""
    return f"{model_name}-v{version}"


def version_in(name: str, model_name: str) -> int | None:
    """The version that an adapter name stands for; null if it is no version of this model."""
    number = name.removeprefix(f"{model_name}-v")
    return int(number) if number != name and number.isdecimal() else None


class Registry(Protocol):
    """Versions of models with their files, tags and aliases. Every method raises RegistryError when the registry does not answer."""

    def register(
        self,
        model_name: str,
        mlflow_run_id: str,
        artifact: Path,
        evidence: Mapping[str, Path],
        tags: Mapping[str, str],
        description: str,
        package: Mapping[str, Path] | None = None,
    ) -> int:
        """Stores files under a run and makes them a new version, complete with its tags from its first moment.

        Args:
            artifact: folder that becomes :data:`MODEL_FOLDER`, file by file.
            evidence: files of :data:`EVIDENCE_FOLDER`, by the name that they get there.
            description: Markdown for the version's page.
            package: files beside both folders, by name: what `mlflow.pyfunc` loads the version by.
        """
        ...

    def find(self, model_name: str, artifact_digest: str, gate_report_digest: str) -> int | None:
        """The newest version with these digests; null if there is none."""
        ...

    def tags(self, model_name: str, version: int) -> dict[str, str] | None:
        """All tags of a version; null if there is no such version."""
        ...

    def look(self, model_name: str, version: int) -> Listed | None:
        """A version with its tags and the time of its registration; null if there is no such version."""
        ...

    def tagged(self, key: str) -> list[Listed]:
        """The versions of all models that have a tag, whatever its value; newest first."""
        ...

    def read(self, model_name: str, version: int, path: str) -> bytes | None:
        """One file of a version, such as `evidence/gate_report.json`; null if the version or the file is not there."""
        ...

    def set_tag(self, model_name: str, version: int, key: str, value: str) -> None:
        """Sets a tag of a version.

        Raises:
            RegistryError: there is no such version.
        """
        ...

    def download(self, model_name: str, version: int, folder: Path) -> None:
        """Writes both folders of a version, and its package if it has one, below an existing folder.

        Raises:
            RegistryError: there is no such version, or one of its folders is missing.
        """
        ...

    def aliases(self, model_name: str) -> dict[str, int]:
        """Which version each alias of a model names; empty for an unknown model."""
        ...

    def set_alias(self, model_name: str, alias: Alias, version: int) -> None:
        """Makes an alias name a version, whatever it named before.

        Raises:
            RegistryError: there is no such version.
        """
        ...

    def delete_alias(self, model_name: str, alias: Alias) -> None:
        """Removes an alias; nothing happens if there is none."""
        ...

    def url(self, model_name: str, version: int) -> str:
        """The version's page."""
        ...


class StoredBase(Record):
    """A base model as it is kept for whoever wants to use a version without this project.

    `digest` is what manifests know a base by. The same base can be written in other bytes (another version of a library), so its `files`
    (SHA-256 by path) are part of what it is found by.
    """

    digest: str
    files: dict[str, str]

    @property
    def key(self) -> str:
        """Digest of all files."""
        return sha256_json(self.files)


class BaseStore(Protocol):
    """Keeps each base model once. Every method raises RegistryError when the store does not answer."""

    def keep(self, base: StoredBase, name: str, files: Mapping[str, Path]) -> bool:
        """Stores a base unless it is there already; returns whether it had to be.

        Args:
            name: what a person knows the base by.
            files: by the paths of `base.files`.
        """
        ...

    def fetch(self, base: StoredBase, folder: Path) -> None:
        """Writes the files of a base into an existing folder, and holds each against its digest.

        Raises:
            RegistryError: it is not in the store, or its bytes are others.
        """
        ...
