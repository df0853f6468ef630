"""The seal names every file of the evidence and of the package; whatever was changed, put in or taken out is noticed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline_config.errors import PromotionRefused, RegistryError
from tasks.registry.port import ARTIFACT_TAG, EVIDENCE_FOLDER, EVIDENCE_MANIFEST, EVIDENCE_TAG, GATE_REPORT_TAG, MODEL_FOLDER, StoredBase
from tasks.registry.sealing import EvidenceManifest, broken_seal, digests_of, read_seal, require_files, seal
from tasks.registry.verdict import verified_evidence
from tests.fakes import FakeRegistry
from tests.versions import MODEL, Candidate

Damage = Callable[[Path], object]


@pytest.fixture
def registry(tmp_path: Path) -> FakeRegistry:
    return FakeRegistry(tmp_path / "registry")


@pytest.fixture
def version(registry: FakeRegistry, tmp_path: Path) -> int:
    """A version that passed, whose evidence has a page, beside a package, all of it sealed."""
    first = Candidate(tmp_path / "v1").register(registry, "run")
    files = registry.files(MODEL, first)
    tags = registry.tags(MODEL, first) or {}
    (files / EVIDENCE_FOLDER / "report.html").write_text("page")
    (files / "MLmodel").write_text("flavors")
    manifest = EvidenceManifest(
        run_id="run", artifact_digest=tags[ARTIFACT_TAG], gate_report_digest=tags[GATE_REPORT_TAG], data_digest="data", config_digest="c",
        code_revision=None, files=digests_of({path.name: path for path in (files / EVIDENCE_FOLDER).iterdir()}),
        package=digests_of({"MLmodel": files / "MLmodel"}), base=None,
    )  # fmt: skip
    registry.set_tag(MODEL, first, EVIDENCE_TAG, seal(files / EVIDENCE_FOLDER / EVIDENCE_MANIFEST, manifest))
    return first


def test_a_sealed_version_passes_and_its_evidence_has_the_seals_digest(registry: FakeRegistry, version: int, tmp_path: Path) -> None:
    evidence = verified_evidence(registry, MODEL, version, tmp_path / "versions")
    assert evidence.evidence_digest == (registry.tags(MODEL, version) or {})[EVIDENCE_TAG]
    sealed = read_seal(evidence.folder)
    assert sealed is not None
    assert {"report.html", "parity.jsonl", "config.json"} <= set(sealed.files)


def test_a_version_from_before_there_were_seals_passes(registry: FakeRegistry, tmp_path: Path) -> None:
    evidence = verified_evidence(registry, MODEL, Candidate(tmp_path / "v1").register(registry, "run"), tmp_path / "versions")
    assert (evidence.evidence_digest, read_seal(evidence.folder)) == (None, None)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "changed page": (lambda files: (files / EVIDENCE_FOLDER / "report.html").write_text("Page"), "evidence were changed: report.html"),
    "no page": (lambda files: (files / EVIDENCE_FOLDER / "report.html").unlink(), "evidence were changed: report.html"),
    "changed test answers": (lambda files: (files / EVIDENCE_FOLDER / "parity.jsonl").write_text("{}"), "were changed: parity.jsonl"),
    "a file put in": (lambda files: (files / EVIDENCE_FOLDER / "more.html").touch(), "evidence were changed: more.html"),
    "changed package": (lambda files: (files / "MLmodel").write_text("loader"), "evidence were changed: MLmodel"),
    "code put in": (lambda files: (files / "more.py").touch(), "evidence were changed: more.py"),
    "changed seal": (lambda files: (files / EVIDENCE_FOLDER / EVIDENCE_MANIFEST).write_text("{}"), "is not the one that it was registered"),
    "no seal": (lambda files: (files / EVIDENCE_FOLDER / EVIDENCE_MANIFEST).unlink(), f"has no evidence/{EVIDENCE_MANIFEST}"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_refuses_a_version_whose_evidence_was_changed(registry: FakeRegistry, version: int, tmp_path: Path, damage: str) -> None:
    change, reason = DAMAGES[damage]
    change(registry.files(MODEL, version))
    with pytest.raises(PromotionRefused, match=reason):
        verified_evidence(registry, MODEL, version, tmp_path / "versions")


def test_a_damaged_copy_of_the_evidence_is_fetched_again(registry: FakeRegistry, version: int, tmp_path: Path) -> None:
    page = verified_evidence(registry, MODEL, version, tmp_path / "versions").folder / EVIDENCE_FOLDER / "report.html"
    page.write_text("another")
    verified_evidence(registry, MODEL, version, tmp_path / "versions")
    assert page.read_text() == "page"


def test_a_seal_whose_tag_was_taken_away_is_no_version_from_before(registry: FakeRegistry, version: int, tmp_path: Path) -> None:
    tags = {key: value for key, value in (registry.tags(MODEL, version) or {}).items() if key != EVIDENCE_TAG}
    assert broken_seal(registry.files(MODEL, version), tags) == f"it has {EVIDENCE_MANIFEST} and no tag {EVIDENCE_TAG}"


def test_a_seal_with_a_fitting_tag_that_cannot_be_read_is_said(registry: FakeRegistry, version: int) -> None:
    path = registry.files(MODEL, version) / EVIDENCE_FOLDER / EVIDENCE_MANIFEST
    path.write_text("{")
    fault = broken_seal(registry.files(MODEL, version), {EVIDENCE_TAG: digests_of({"seal": path})["seal"]})
    assert fault is not None
    assert "cannot be read" in fault


def test_every_file_of_a_base_counts(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text(name)
    base = StoredBase(digest="ba5e", files=digests_of({name: tmp_path / name for name in ("config.json", "model.safetensors")}))
    require_files(base, tmp_path)
    (tmp_path / "adapter_config.json").touch()
    with pytest.raises(RegistryError, match=r"1 file\(s\) of base ba5e .*: adapter_config.json"):
        require_files(base, tmp_path)
    (tmp_path / "adapter_config.json").unlink()
    (tmp_path / "config.json").write_text("other")
    with pytest.raises(RegistryError, match=r": config\.json"):
        require_files(base, tmp_path)


def test_the_same_base_in_other_bytes_is_another_entry_of_the_store() -> None:
    one, other = (StoredBase(digest="ba5e", files={"model.safetensors": digest}) for digest in ("1", "2"))
    assert one.key != other.key
    assert one.key == StoredBase(digest="another", files={"model.safetensors": "1"}).key


def test_the_artifact_is_no_part_of_the_seal(registry: FakeRegistry, version: int) -> None:
    (registry.files(MODEL, version) / MODEL_FOLDER / "more.bin").touch()
    assert broken_seal(registry.files(MODEL, version), registry.tags(MODEL, version) or {}) is None
