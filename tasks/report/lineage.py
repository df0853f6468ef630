"""Where a model comes from: digests that can be checked, links, and the software that it was made with."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline_config.loading import config_digest
from pipeline_config.model import EMBEDDED, EMBEDDED_LICENSE
from tasks.artifacts import Record
from tasks.methods.method import public_name
from tasks.report.material import Material
from tasks.revision import code_revision

_PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "polars", "prefect", "mlflow")


class Fact(Record):
    """A name, a value, and what else there is to know of it; `code` values are set as such."""

    name: str
    value: str
    note: str = ""
    code: bool = False


class Link(Record):
    """Somewhere to go on reading."""

    name: str
    url: str


def lineage_of(material: Material) -> list[Fact]:
    """What went in and what came out, each with its digest."""
    base: Mapping[str, Any] = material.manifest.get("base") or {}
    precision = " ".join(str(base[key]) for key in ("quantization", "dtype") if base.get(key))
    name = base.get("name_or_path") or public_name(material.config.model.name_or_path)
    revision = f"revision {base['revision']}" if base.get("revision") else ""
    judged = material.parts.judged
    return [
        Fact(name="Data", value=material.data.digest, note="digest of the rows kept", code=True),
        Fact(
            name="Base model", value=material.trained.base_digest, code=True,
            note=", ".join(part for part in (name, revision, precision) if part),
        ),
        Fact(name="Artifact", value=material.trained.artifact_digest, note=f"{material.trained.method}; every file counts", code=True),
        Fact(name="Configuration", value=config_digest(material.config), code=True),
        *([Fact(name="Gate report", value=judged.digest, note="what promotion checks", code=True)] if judged else []),
        Fact(name="Code", value=code_revision() or "not a repository", note="revision when this page was written", code=True),
        Fact(name="Run", value=material.context.run_id, code=True),
    ]  # fmt: skip


def links_of(material: Material) -> list[Link]:
    """Pages of other servers. Only addresses that a browser opens without running anything."""
    registered, promotion = material.parts.registered, material.parts.promotion
    every = {
        "Prefect run": material.context.prefect_run_url,
        "MLflow run": material.context.mlflow_run_url,
        "Model version": registered.url if registered else None,
        "Promotion run": promotion.url if promotion else None,
    }
    return [Link(name=name, url=url) for name, url in every.items() if url and url.startswith(("http://", "https://"))]


def environment_of() -> list[tuple[str, str]]:
    """Interpreter, machine and the packages that decide what a model answers."""
    found = [("Python", platform.python_version()), ("Machine", f"{platform.system()} {platform.machine()}")]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def base_license(material: Material) -> str | None:
    """The licence that the configuration gives; of the embedded base it is known."""
    model = material.config.model
    return model.license or (EMBEDDED_LICENSE if model.name_or_path == EMBEDDED else None)
