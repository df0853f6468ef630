"""What every registry promises, asked of the fake and of a real MLflow server."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline_config.environment import Machine
from pipeline_config.errors import RegistryError
from tasks.files import file_digests
from tasks.mlflow_tracking import MlflowTracker
from tasks.registry.mlflow_registry import MlflowRegistry
from tasks.registry.port import ARTIFACT_TAG, GATE_REPORT_TAG, RUN_TAG, VERDICT_TAG, Registry
from tests.fakes import FakeRegistry
from tests.machines import free_ports

_NAMES = (f"contract-{number}" for number in itertools.count())


class Place:
    """A registry, a model name that nobody used before, and how to open a run."""

    def __init__(self, registry: Registry, url: str | None) -> None:
        self.registry, self.name, self._url = registry, next(_NAMES), url

    def new_run(self) -> str:
        return MlflowTracker(self._url).open_run("contract", "run", {}).run_id if self._url else "run"


@pytest.fixture(params=["fake", pytest.param("mlflow", marks=pytest.mark.services)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Aliases are taken away again: no ledger stands behind them, and whoever reconciles all models would put that right."""
    place = _place(request, tmp_path)
    yield place
    for alias in place.registry.aliases(place.name):
        place.registry.delete_alias(place.name, alias)


def _place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "fake":
        return Place(FakeRegistry(tmp_path / "registry"), None)
    machine: Machine = request.getfixturevalue("machine_up")
    return Place(MlflowRegistry(machine.mlflow_url), machine.mlflow_url)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(bytes(range(256)))
    (folder / "tokenizer" / "vocab.txt").write_text("ä\n")
    return folder


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "some report.json"
    path.write_text('{"verdict": "pass"}')
    return path


def add(place: Place, artifact: Path, report: Path, digest: str = "a" * 64) -> int:
    tags = {VERDICT_TAG: "pass", ARTIFACT_TAG: digest, GATE_REPORT_TAG: "b" * 64, RUN_TAG: "r"}
    return place.registry.register(place.name, place.new_run(), artifact, {"gate_report.json": report}, tags, "**pass**")


def test_versions_are_numbered_from_one_and_keep_their_tags(place: Place, artifact: Path, report: Path) -> None:
    assert [add(place, artifact, report), add(place, artifact, report, "c" * 64)] == [1, 2]
    tags = place.registry.tags(place.name, 2)
    assert tags is not None
    assert tags == {VERDICT_TAG: "pass", ARTIFACT_TAG: "c" * 64, GATE_REPORT_TAG: "b" * 64, RUN_TAG: "r"}


def test_a_version_without_more_has_no_alias(place: Place, artifact: Path, report: Path) -> None:
    add(place, artifact, report)
    assert place.registry.aliases(place.name) == {}


def test_a_download_is_byte_for_byte_what_was_registered(place: Place, artifact: Path, report: Path, tmp_path: Path) -> None:
    version = add(place, artifact, report)
    target = tmp_path / "copy"
    target.mkdir()
    place.registry.download(place.name, version, target)
    assert file_digests(target / "model") == file_digests(artifact)
    assert (target / "evidence" / "gate_report.json").read_bytes() == report.read_bytes()
    assert {path.name for path in target.iterdir()} == {"model", "evidence"}


def test_a_package_lies_beside_both_folders(place: Place, artifact: Path, report: Path, tmp_path: Path) -> None:
    version = place.registry.register(
        place.name, place.new_run(), artifact, {"gate_report.json": report}, {RUN_TAG: "r"}, "", {"MLmodel": report}
    )  # fmt: skip
    target = tmp_path / "copy"
    target.mkdir()
    place.registry.download(place.name, version, target)
    assert {path.name for path in target.iterdir()} == {"model", "evidence", "MLmodel"}
    assert (target / "MLmodel").read_bytes() == report.read_bytes()


def test_a_version_is_found_by_both_digests_only(place: Place, artifact: Path, report: Path) -> None:
    registry, name = place.registry, place.name
    assert registry.find(name, "a" * 64, "b" * 64) is None
    add(place, artifact, report)
    newest = add(place, artifact, report)
    assert registry.find(name, "a" * 64, "b" * 64) == newest
    assert registry.find(name, "a" * 64, "c" * 64) is None
    assert registry.find(name, "c" * 64, "b" * 64) is None
    assert registry.find(f"{name}-other", "a" * 64, "b" * 64) is None


def test_aliases_can_be_set_moved_and_removed(place: Place, artifact: Path, report: Path) -> None:
    registry, name = place.registry, place.name
    for digest in ("a", "c"):
        add(place, artifact, report, digest * 64)
    registry.set_alias(name, "champion", 1)
    registry.set_alias(name, "previous", 2)
    assert registry.aliases(name) == {"champion": 1, "previous": 2}
    registry.set_alias(name, "champion", 2)
    registry.delete_alias(name, "previous")
    assert registry.aliases(name) == {"champion": 2}
    registry.delete_alias(name, "previous")
    assert registry.aliases(name) == {"champion": 2}


def test_a_tag_can_be_set_and_changed(place: Place, artifact: Path, report: Path) -> None:
    registry, name = place.registry, place.name
    version = add(place, artifact, report)
    for status in ("approved", "rejected "):
        registry.set_tag(name, version, "approval_status", status)
        assert (registry.tags(name, version) or {})["approval_status"] == status


def test_a_version_is_looked_at_with_its_tags_and_the_time_of_its_registration(place: Place, artifact: Path, report: Path) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    version = add(place, artifact, report)
    found = place.registry.look(place.name, version)
    assert found is not None
    assert (found.model_name, found.version, found.tags) == (place.name, version, place.registry.tags(place.name, version))
    assert before <= found.created <= datetime.now(UTC) + timedelta(seconds=1)
    assert place.registry.look(place.name, version + 1) is None


def test_versions_are_found_by_a_tag_whatever_it_says(place: Place, artifact: Path, report: Path) -> None:
    registry, tag = place.registry, f"tag-{place.name}"
    for digest in ("a", "c", "d"):
        add(place, artifact, report, digest * 64)
    assert registry.tagged(tag) == []
    for version, value in ((1, "approved"), (3, " odd 'text'\n")):
        registry.set_tag(place.name, version, tag, value)
    found = registry.tagged(tag)
    assert [(listed.version, listed.tags[tag]) for listed in found] == [(3, " odd 'text'\n"), (1, "approved")]


def test_one_file_of_a_version_can_be_read(place: Place, artifact: Path, report: Path) -> None:
    version = add(place, artifact, report)
    assert place.registry.read(place.name, version, "evidence/gate_report.json") == report.read_bytes()
    assert place.registry.read(place.name, version, "evidence/other.json") is None
    assert place.registry.read(place.name, version + 1, "evidence/gate_report.json") is None


def test_versions_are_listed_by_a_tag_whatever_its_value(place: Place, artifact: Path, report: Path) -> None:
    registry, name, key = place.registry, place.name, f"tunegate.{place.name}"
    assert registry.tagged(key) == []
    first, second, _ = (add(place, artifact, report, digest * 64) for digest in "acd")
    for version, value in ((first, "x"), (second, "y")):
        registry.set_tag(name, version, key, value)
    listed = registry.tagged(key)
    assert [(found.model_name, found.version, found.tags[key]) for found in listed] == [(name, second, "y"), (name, first, "x")]
    assert listed[0].tags[ARTIFACT_TAG] == "c" * 64
    assert listed[1].created <= listed[0].created <= datetime.now(UTC)


def test_what_is_not_there_is_none_or_refused(place: Place, artifact: Path, report: Path, tmp_path: Path) -> None:
    registry, name = place.registry, place.name
    assert registry.tags(name, 1) is None
    assert registry.aliases(name) == {}
    registry.delete_alias(name, "champion")
    add(place, artifact, report)
    assert registry.tags(name, 2) is None
    for refused in (
        lambda: registry.download(name, 2, tmp_path),
        lambda: registry.set_alias(name, "champion", 2),
        lambda: registry.set_tag(name, 2, "approval_status", "approved"),
    ):
        with pytest.raises(RegistryError):
            refused()


def test_a_version_has_a_page(place: Place, artifact: Path, report: Path) -> None:
    version = add(place, artifact, report)
    assert place.registry.url(place.name, version).endswith(f"/models/{place.name}/versions/{version}")


def test_a_registry_that_does_not_answer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match="MLflow did not read version 1"):
        MlflowRegistry(f"http://127.0.0.1:{free_ports(1)[0]}").tags("routing", 1)


@pytest.mark.services
def test_a_version_that_was_registered_when_its_whole_run_was_its_source_can_be_downloaded(
    machine_up: Machine, artifact: Path, report: Path, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    client, registry, name = MlflowClient(machine_up.mlflow_url), MlflowRegistry(machine_up.mlflow_url), next(_NAMES)
    run = MlflowTracker(machine_up.mlflow_url).open_run("contract", "run", {}).run_id
    client.log_artifacts(run, str(artifact), "model")
    client.log_artifact(run, str(report), "evidence")
    client.log_artifact(run, str(report))
    client.create_registered_model(name)
    client.create_model_version(name, client.get_run(run).info.artifact_uri, run, await_creation_for=0)
    target = tmp_path / "copy"
    target.mkdir()
    registry.download(name, 1, target)
    assert {path.name for path in target.iterdir()} == {"model", "evidence"}
    assert file_digests(target / "model") == file_digests(artifact)
