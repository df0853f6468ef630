"""The only place that reads environment variables.

| variable | meaning | default |
| --- | --- | --- |
| `TUNEGATE_WORKSPACE` | runs, stage results, service state | `workspace` in the working directory |
| `TUNEGATE_PREFECT_PORT`, `TUNEGATE_MLFLOW_PORT`, `TUNEGATE_SERVER_PORT` | ports of the local services | 4200, 5000, 8000 |
| `TUNEGATE_WORK_POOL` | process work pool of the deployments | `tunegate` |
| `PREFECT_API_URL` | a Prefect server of your own; none is started then | local |
| `MLFLOW_TRACKING_URI` | an MLflow server of your own; none is started then | local |
| `TUNEGATE_MLFLOW_APP` | app of the local MLflow server, such as `tunegate-auth` for logins | none: no logins |
| `TUNEGATE_STAMP_KEY` | secret by which that app signs who decided; the workers need it, too | none: no name is believed |
| `MLFLOW_TRACKING_USERNAME`, `MLFLOW_TRACKING_PASSWORD` | how this machine logs in to MLflow; read by MLflow's client | none |
| `PREFECT_HOME` | Prefect's own files and its SQLite database | `services/prefect` in the workspace |
| `TUNEGATE_LEDGER_URL` | a Postgres database for the ledger, `postgresql://...`; for more than one host | a SQLite file in the workspace |
| `HF_HOME` | Hugging Face's cache | theirs |
| `NLTK_DATA` | folders in which WordNet is looked for as well | none |
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError

from pipeline_config.base import Section
from pipeline_config.errors import ConfigError

LOOPBACK = "127.0.0.1"

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}

_SPIN_COUNT = "3000"
"""How long a thread of a matrix product spins while it waits for another, in libgomp's rounds, before it sleeps. libgomp's own choice is a
few milliseconds: two trainings on the same cores then hold each other up. docs/log.md has the figures."""

_KERNELS_KEPT = {"LRU_CACHE_CAPACITY": "64", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64"}
"""How many compiled matrix products a process keeps for shapes that may come again: PyTorch in one cache for each kind of product, and
oneDNN below it; each holds what the other has let go of, so both are bounded. Their own 1,024 are for a few fixed shapes. Here nearly every
batch has a shape of its own, and memory grew by gigabytes. The layers of one model share a step's shapes, which are far fewer than 64.
docs/log.md has the figures."""

_PORTS = {
    "prefect_port": "TUNEGATE_PREFECT_PORT",
    "mlflow_port": "TUNEGATE_MLFLOW_PORT",
    "server_port": "TUNEGATE_SERVER_PORT",
}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Machine(Section):
    """What this machine offers: folders, ports and servers. Never part of a run's digest."""

    workspace: Path
    prefect_home: Path
    prefect_port: int = Field(4200, ge=1, le=65535)
    mlflow_port: int = Field(5000, ge=1, le=65535)
    server_port: int = Field(8000, ge=1, le=65535)
    work_pool: str = Field("tunegate", min_length=1)
    own_prefect_url: str | None = None
    own_mlflow_url: str | None = None
    mlflow_app: str | None = Field(None, min_length=1)
    ledger_url: SecretStr | None = None  # it may hold a password

    @property
    def prefect_api_url(self) -> str:
        """The Prefect API that flows report to."""
        return self.own_prefect_url or f"http://{LOOPBACK}:{self.prefect_port}/api"

    @property
    def prefect_ui_url(self) -> str:
        """The page that a person opens."""
        return self.prefect_api_url.removesuffix("/").removesuffix("/api")

    @property
    def mlflow_url(self) -> str:
        """MLflow's tracking and registry server, which is also its page."""
        return self.own_mlflow_url or f"http://{LOOPBACK}:{self.mlflow_port}"

    @property
    def server_url(self) -> str:
        """The model server."""
        return f"http://{LOOPBACK}:{self.server_port}"

    def variables(self) -> dict[str, str]:
        """Environment of every process that tunegate starts, so that all of them see this same machine."""
        return {
            **TELEMETRY_OFF,
            **_thread_policy(),
            **{name: os.environ.get(name, kept) for name, kept in _KERNELS_KEPT.items()},
            **_no_proxy_for_loopback(),
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "PRESIDIO_DEVICE": "cpu",  # else its import opens a GPU, and the preparing process holds memory there while the child trains
            "TUNEGATE_WORKSPACE": str(self.workspace),
            "TUNEGATE_WORK_POOL": self.work_pool,
            "PREFECT_API_URL": self.prefect_api_url,
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "PREFECT_HOME": str(self.prefect_home),
            **({"TUNEGATE_MLFLOW_APP": self.mlflow_app} if self.mlflow_app else {}),
            "TUNEGATE_LEDGER_URL": "" if self.ledger_url is None else self.ledger_url.get_secret_value(),
            **{name: str(getattr(self, field)) for field, name in _PORTS.items()},
        }

    def child_environment(self) -> dict[str, str]:
        """The caller's environment with :meth:`variables` on top."""
        return {**os.environ, **self.variables()}

    def apply(self) -> None:
        """Puts :meth:`variables` into this process. Call before Prefect or MLflow is imported: both read them then."""
        os.environ.update(self.variables())


def _thread_policy() -> dict[str, str]:
    """A user's own policy stands."""
    own = os.environ.get("GOMP_SPINCOUNT")
    return {} if "OMP_WAIT_POLICY" in os.environ else {"GOMP_SPINCOUNT": own or _SPIN_COUNT}


def _no_proxy_for_loopback() -> dict[str, str]:
    """Clients of Prefect and MLflow would send calls to this machine through `HTTP_PROXY` as well."""
    excepted = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host for host in excepted.split(",") if host]
    value = ",".join([*hosts, *(host for host in (LOOPBACK, "localhost") if host not in hosts)])
    return {"NO_PROXY": value, "no_proxy": value}


def read_machine(environ: Mapping[str, str] | None = None) -> Machine:
    """Reads the table at the top of this module.

    Raises:
        ConfigError: a port is not a number between 1 and 65535, or the ledger's address is none of a Postgres database.
    """
    source = os.environ if environ is None else environ
    workspace = Path(source.get("TUNEGATE_WORKSPACE", "workspace")).absolute()
    values: dict[str, object] = {field: source[name] for field, name in _PORTS.items() if name in source}
    try:
        machine = Machine.model_validate(
            {
                "workspace": workspace,
                "prefect_home": source.get("PREFECT_HOME", workspace / "services" / "prefect"),
                "work_pool": source.get("TUNEGATE_WORK_POOL", "tunegate"),
                "mlflow_app": source.get("TUNEGATE_MLFLOW_APP") or None,
                "ledger_url": source.get("TUNEGATE_LEDGER_URL") or None,
                **values,
            }
        )
    except ValidationError as error:
        faults = [f"{_PORTS.get(str(e['loc'][0]), e['loc'][0])}={e['input']!r}: {e['msg']}" for e in error.errors()]
        raise ConfigError.of_faults(faults, where="environment variables") from error
    _require_postgres(machine.ledger_url)
    local_prefect, local_mlflow = machine.prefect_api_url, machine.mlflow_url
    prefect, mlflow = source.get("PREFECT_API_URL"), source.get("MLFLOW_TRACKING_URI")
    return machine.model_copy(
        update={
            "own_prefect_url": prefect if prefect and prefect != local_prefect else None,
            "own_mlflow_url": mlflow if mlflow and mlflow != local_mlflow else None,
        }
    )


def _require_postgres(url: SecretStr | None) -> None:
    scheme = url.get_secret_value().partition("://")[0] if url is not None else "postgresql"
    if scheme not in ("postgresql", "postgres"):
        raise ConfigError(
            f"the ledger cannot be kept at an address that begins with {scheme!r:.40}", where="TUNEGATE_LEDGER_URL",
            expected="postgresql://user:password@host:5432/database", hint="unset it to have a SQLite file in the workspace",
        )  # fmt: skip


def read_secret(name: str) -> str | None:
    """A credential by the name of its variable. Never stored, logged or put into a configuration."""
    return os.environ.get(name)


def read_folders(name: str) -> list[Path]:
    """The folders that a variable lists as `PATH` does; none if it is not set."""
    return [Path(folder) for folder in os.environ.get(name, "").split(os.pathsep) if folder]


def expand_variables(text: str) -> tuple[str, list[str]]:
    """Replaces each `${NAME}` by the variable's value.

    Returns:
        The text, and the names that are not set (left in place).
    """
    missing = [name for name in _VARIABLE.findall(text) if name not in os.environ]
    return _VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), text), missing
