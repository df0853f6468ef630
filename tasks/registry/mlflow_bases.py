"""Base models in MLflow's artifact store, each kept once: a run of an experiment of their own, found by digest."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline_config.errors import RegistryError
from tasks.registry.port import StoredBase
from tasks.registry.sealing import require_files

EXPERIMENT = "tunegate-bases"
"""Experiment of the bases. `tasks.registry.package_pyfunc` names it, too: that file stands alone."""
DIGEST_TAG, FILES_TAG = "tunegate.base_digest", "tunegate.base_files"
"""Tags of its runs: the digest that manifests know a base by, and that of all its files."""
FOLDER = "base"
"""Folder of such a run with the base's files."""


class MlflowBaseStore:
    """`tasks.registry.port.BaseStore` on an MLflow server.

    Args:
        url: the server, such as `http://127.0.0.1:5000`.
    """

    def __init__(self, url: str) -> None:
        from mlflow import MlflowClient

        self._url = url.rstrip("/")
        self._client: Any = MlflowClient(tracking_uri=self._url, registry_uri=self._url)

    def keep(self, base: StoredBase, name: str, files: Mapping[str, Path]) -> bool:
        """See :meth:`tasks.registry.port.BaseStore.keep`."""
        with self._speaking("keep base", base):
            if self._find(base) is not None:
                return False
            tags = {DIGEST_TAG: base.digest, FILES_TAG: base.key, "tunegate.base_name": name}
            run_id = self._client.create_run(self._experiment(), run_name=f"{name} {base.digest[:12]}", tags=tags).info.run_id
            try:
                self._log(run_id, files)
            except BaseException:
                self._client.set_terminated(run_id, "FAILED")
                raise
            # Only a finished run is found, so one that was cut off is never taken for a base.
            self._client.set_terminated(run_id, "FINISHED")
        return True

    def fetch(self, base: StoredBase, folder: Path) -> None:
        """See :meth:`tasks.registry.port.BaseStore.fetch`."""
        from mlflow.artifacts import download_artifacts

        with self._speaking("fetch base", base):
            run_id = self._find(base)
            if run_id is None:
                raise RegistryError(
                    f"base {base.digest[:12]} is not in the store", where=self._url, expected=f"a finished run of experiment {EXPERIMENT}",
                    hint="it is stored when a version is registered; run the pipeline again on the machine that has the base",
                )  # fmt: skip
            with TemporaryDirectory(dir=folder.parent) as draft:
                download_artifacts(run_id=run_id, artifact_path=FOLDER, dst_path=draft, tracking_uri=self._url)
                for path in (Path(draft) / FOLDER).iterdir():
                    shutil.move(path, folder / path.name)
        require_files(base, folder)

    def _find(self, base: StoredBase) -> str | None:
        """The oldest run that has the base whole."""
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return None
        wanted = f"tags.`{DIGEST_TAG}` = '{base.digest}' and tags.`{FILES_TAG}` = '{base.key}' and attributes.status = 'FINISHED'"
        found = self._client.search_runs([experiment.experiment_id], wanted, order_by=["attributes.start_time ASC"], max_results=1)
        return str(found[0].info.run_id) if found else None

    def _log(self, run_id: str, files: Mapping[str, Path]) -> None:
        for name, path in files.items():
            self._client.log_artifact(run_id, str(path), "/".join([FOLDER, *Path(name).parts[:-1]]))

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(EXPERIMENT))
        except MlflowException:
            # Somebody else was faster.
            return str(self._client.get_experiment_by_name(EXPERIMENT).experiment_id)

    @contextmanager
    def _speaking(self, purpose: str, base: StoredBase) -> Iterator[None]:
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, OSError) as error:
            raise RegistryError(f"MLflow did not {purpose} {base.digest[:12]}: {error}", where=self._url) from error
