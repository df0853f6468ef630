"""The model registry in an MLflow server. One of the two modules that know MLflow."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline_config.errors import RegistryError
from tasks.registry.port import ARTIFACT_TAG, EVIDENCE_FOLDER, GATE_REPORT_TAG, MODEL_FOLDER, VERSION_FOLDER, Alias, Listed

_PAGE = 1000
"""Versions in one answer."""


class MlflowRegistry:
    """`tasks.registry.port.Registry` on MLflow. A version's source is a folder of its run; its files are taken from there.

    Args:
        url: the MLflow server, such as `http://127.0.0.1:5000`.
    """

    def __init__(self, url: str) -> None:
        from mlflow import MlflowClient

        self._url = url.rstrip("/")
        self._client = MlflowClient(tracking_uri=self._url, registry_uri=self._url)

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
        """See :meth:`tasks.registry.port.Registry.register`."""
        with self._speaking("register a version", model_name):
            source = f"{self._client.get_run(mlflow_run_id).info.artifact_uri}/{VERSION_FOLDER}"
            self._client.log_artifacts(mlflow_run_id, str(artifact), f"{VERSION_FOLDER}/{MODEL_FOLDER}")
            self._log_files(mlflow_run_id, evidence, f"{VERSION_FOLDER}/{EVIDENCE_FOLDER}")
            self._log_files(mlflow_run_id, package or {}, VERSION_FOLDER)
            self._ensure_model(model_name)
            # The version comes last and with all its tags, so that a crash before it leaves files of a run and nothing to find.
            created = self._client.create_model_version(
                model_name, source, mlflow_run_id, tags=dict(tags), description=description, await_creation_for=0
            )
        return int(created.version)

    def find(self, model_name: str, artifact_digest: str, gate_report_digest: str) -> int | None:
        """See :meth:`tasks.registry.port.Registry.find`."""
        wanted = (
            f"name = '{model_name}' and tag.`{ARTIFACT_TAG}` = '{artifact_digest}' and tag.`{GATE_REPORT_TAG}` = '{gate_report_digest}'"
        )
        with self._speaking("search versions", model_name):
            found = self._client.search_model_versions(wanted)
        return max((int(version.version) for version in found), default=None)

    def tags(self, model_name: str, version: int) -> dict[str, str] | None:
        """See :meth:`tasks.registry.port.Registry.tags`."""
        found = self._version(model_name, version)
        return None if found is None else {str(key): str(value) for key, value in found.tags.items()}

    def look(self, model_name: str, version: int) -> Listed | None:
        """See :meth:`tasks.registry.port.Registry.look`."""
        found = self._version(model_name, version)
        return None if found is None else _listed(found)

    def tagged(self, key: str) -> list[Listed]:
        """See :meth:`tasks.registry.port.Registry.tagged`."""
        found: list[Listed] = []
        token: str | None = None
        while token is None or token:
            with self._speaking(f"search versions with tag {key}", "all models"):
                page = self._client.search_model_versions(f"tags.`{key}` LIKE '%'", max_results=_PAGE, page_token=token)
            found += [_listed(version) for version in page]
            token = page.token or ""
        return sorted(found, key=lambda listed: (listed.created, listed.version), reverse=True)

    def read(self, model_name: str, version: int, path: str) -> bytes | None:
        """See :meth:`tasks.registry.port.Registry.read`."""
        from mlflow.artifacts import download_artifacts, list_artifacts

        found = self._version(model_name, version)
        if found is None:
            return None
        folder, _, name = f"{found.source}/{path}".rpartition("/")
        with self._speaking(f"read {path} of version {version}", model_name), TemporaryDirectory() as place:
            if name not in {Path(entry.path).name for entry in list_artifacts(artifact_uri=folder, tracking_uri=self._url)}:
                return None
            copy = download_artifacts(artifact_uri=f"{folder}/{name}", dst_path=place, tracking_uri=self._url)
            return Path(copy).read_bytes()

    def set_tag(self, model_name: str, version: int, key: str, value: str) -> None:
        """See :meth:`tasks.registry.port.Registry.set_tag`."""
        with self._speaking(f"set tag {key} of version {version}", model_name):
            self._client.set_model_version_tag(model_name, str(version), key, value)

    def download(self, model_name: str, version: int, folder: Path) -> None:
        """See :meth:`tasks.registry.port.Registry.download`."""
        found = self._version(model_name, version)
        if found is None:
            raise RegistryError(f"there is no version {version} to download", where=f"{model_name} at {self._url}")
        with self._speaking(f"download version {version}", model_name):
            present = self._parts(str(found.source))
            for part in present:
                self._download(f"{found.source}/{part}", folder)
        if missing := {MODEL_FOLDER, EVIDENCE_FOLDER} - set(present):
            raise RegistryError(f"version {version} has no {min(missing)}/", where=f"{model_name} at {self._url}")

    def aliases(self, model_name: str) -> dict[str, int]:
        """See :meth:`tasks.registry.port.Registry.aliases`."""
        with self._speaking("read aliases", model_name):
            model = self._or_none(self._client.get_registered_model, model_name)
        return {} if model is None else {alias: int(version) for alias, version in model.aliases.items()}

    def set_alias(self, model_name: str, alias: Alias, version: int) -> None:
        """See :meth:`tasks.registry.port.Registry.set_alias`."""
        with self._speaking(f"set alias {alias} to version {version}", model_name):
            self._client.set_registered_model_alias(model_name, alias, str(version))

    def delete_alias(self, model_name: str, alias: Alias) -> None:
        """See :meth:`tasks.registry.port.Registry.delete_alias`."""
        with self._speaking(f"delete alias {alias}", model_name):
            self._or_none(self._client.delete_registered_model_alias, model_name, alias)

    def url(self, model_name: str, version: int) -> str:
        """See :meth:`tasks.registry.port.Registry.url`."""
        return f"{self._url}/#/models/{model_name}/versions/{version}"

    def _version(self, model_name: str, version: int) -> Any:
        with self._speaking(f"read version {version}", model_name):
            return self._or_none(self._client.get_model_version, model_name, str(version))

    def _parts(self, source: str) -> list[str]:
        """Both folders of a version and the files beside them. Where the whole run is the source, as it once was, its files are not."""
        from mlflow.artifacts import list_artifacts

        own = source.endswith(f"/{VERSION_FOLDER}")
        # Paths begin with the source's own last part.
        found = [(part.path.rpartition("/")[2], part.is_dir) for part in list_artifacts(artifact_uri=source, tracking_uri=self._url)]
        return [name for name, is_dir in found if (name in (MODEL_FOLDER, EVIDENCE_FOLDER) if is_dir else own)]

    def _download(self, uri: str, folder: Path) -> None:
        from mlflow.artifacts import download_artifacts

        download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self._url)

    def _log_files(self, mlflow_run_id: str, files: Mapping[str, Path], folder: str) -> None:
        with TemporaryDirectory() as draft:
            for name, path in files.items():
                (Path(draft) / name).write_bytes(path.read_bytes())
            self._client.log_artifacts(mlflow_run_id, draft, folder)

    def _ensure_model(self, model_name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _or_none(self, call: Any, *values: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return call(*values)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    @contextmanager
    def _speaking(self, purpose: str, model_name: str) -> Iterator[None]:
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            raise RegistryError(
                f"MLflow did not {purpose}: {error.message}",
                where=f"{model_name} at {self._url}",
                hint=f"open {self._url} and see whether the server answers and the version is there",
            ) from error


def _listed(version: Any) -> Listed:
    return Listed(
        model_name=str(version.name),
        version=int(version.version),
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        tags={str(key): str(value) for key, value in version.tags.items()},
    )
