"""Small stand-ins for what is slow or far away. Each passes the same contract test as the real thing, or is too simple to need one."""

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pipeline_config.errors import ModelError, RegistryError
from tasks.generation import Answer
from tasks.manifest import read_manifest
from tasks.registry.port import ARTIFACT_TAG, EVIDENCE_FOLDER, GATE_REPORT_TAG, MODEL_FOLDER, Alias, Listed, StoredBase
from tasks.registry.sealing import require_files
from tasks.rows import Message
from tasks.tracking import MetricPoint, TrackedDataset, TrackedRun


@dataclass(frozen=True)
class _Version:
    folder: Path
    tags: dict[str, str]
    description: str
    created: datetime


class FakeRegistry:
    """`tasks.registry.port.Registry` in a folder. `files` is where a version's bytes lie, for tests that damage them."""

    def __init__(self, root: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._root, self._clock = root, clock
        self._versions: dict[tuple[str, int], _Version] = {}
        self._aliases: dict[str, dict[str, int]] = {}

    def files(self, model_name: str, version: int) -> Path:
        return self._known(model_name, version).folder

    def copy(self) -> "FakeRegistry":
        """Another registry with the same versions, tags and aliases; from then on each goes its own way."""
        other = FakeRegistry(self._root, self._clock)
        other._versions = {key: replace(held, tags=dict(held.tags)) for key, held in self._versions.items()}
        other._aliases = {name: dict(aliases) for name, aliases in self._aliases.items()}
        return other

    def forget(self, model_name: str, version: int) -> None:
        """What deleting a version on its page does."""
        del self._versions[model_name, version]

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
        version = 1 + sum(name == model_name for name, _ in self._versions)
        folder = self._root / mlflow_run_id / f"{model_name}-{version}"
        shutil.copytree(artifact, folder / MODEL_FOLDER)
        (folder / EVIDENCE_FOLDER).mkdir()
        for name, path in evidence.items():
            shutil.copyfile(path, folder / EVIDENCE_FOLDER / name)
        for name, path in (package or {}).items():
            shutil.copyfile(path, folder / name)
        self._versions[model_name, version] = _Version(folder, dict(tags), description, self._clock())
        return version

    def find(self, model_name: str, artifact_digest: str, gate_report_digest: str) -> int | None:
        wanted = (artifact_digest, gate_report_digest)
        found = [
            version
            for (name, version), held in self._versions.items()
            if name == model_name and (held.tags.get(ARTIFACT_TAG), held.tags.get(GATE_REPORT_TAG)) == wanted
        ]
        return max(found, default=None)

    def tags(self, model_name: str, version: int) -> dict[str, str] | None:
        held = self._versions.get((model_name, version))
        return dict(held.tags) if held else None

    def look(self, model_name: str, version: int) -> Listed | None:
        held = self._versions.get((model_name, version))
        return Listed(model_name=model_name, version=version, created=held.created, tags=dict(held.tags)) if held else None

    def tagged(self, key: str) -> list[Listed]:
        everything = [Listed(model_name=name, version=n, created=h.created, tags=dict(h.tags)) for (name, n), h in self._versions.items()]
        return sorted(
            (listed for listed in everything if key in listed.tags), key=lambda listed: (listed.created, listed.version), reverse=True
        )

    def read(self, model_name: str, version: int, path: str) -> bytes | None:
        held = self._versions.get((model_name, version))
        return (held.folder / path).read_bytes() if held and (held.folder / path).is_file() else None

    def delete_tag(self, model_name: str, version: int, key: str) -> None:
        """What the bin beside a tag does on a version's page."""
        self._known(model_name, version).tags.pop(key, None)

    def set_tag(self, model_name: str, version: int, key: str, value: str) -> None:
        self._known(model_name, version).tags[key] = value

    def download(self, model_name: str, version: int, folder: Path) -> None:
        held = self._known(model_name, version)
        for part in (MODEL_FOLDER, EVIDENCE_FOLDER):
            if not (held.folder / part).is_dir():
                raise RegistryError(f"version {version} has no {part}/")
            shutil.copytree(held.folder / part, folder / part)
        for path in held.folder.iterdir():
            if path.is_file():
                shutil.copyfile(path, folder / path.name)

    def aliases(self, model_name: str) -> dict[str, int]:
        return dict(self._aliases.get(model_name, {}))

    def set_alias(self, model_name: str, alias: Alias, version: int) -> None:
        self._known(model_name, version)
        self._aliases.setdefault(model_name, {})[alias] = version

    def delete_alias(self, model_name: str, alias: Alias) -> None:
        self._aliases.get(model_name, {}).pop(alias, None)

    def url(self, model_name: str, version: int) -> str:
        return f"http://registry/models/{model_name}/versions/{version}"

    def _known(self, model_name: str, version: int) -> _Version:
        held = self._versions.get((model_name, version))
        if held is None:
            raise RegistryError(f"{model_name} has no version {version}")
        return held


class FakeBaseStore:
    """`tasks.registry.port.BaseStore` in a folder. `stored` says where the bytes of each base lie, for tests that damage them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.stored: dict[str, Path] = {}

    def keep(self, base: StoredBase, name: str, files: Mapping[str, Path]) -> bool:
        if base.key in self.stored:
            return False
        self.stored[base.key] = self._root / base.key
        for relative, path in files.items():
            target = self.stored[base.key] / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        return True

    def fetch(self, base: StoredBase, folder: Path) -> None:
        if base.key not in self.stored:
            raise RegistryError(f"base {base.digest[:12]} is not in the store")
        shutil.copytree(self.stored[base.key], folder, dirs_exist_ok=True)
        require_files(base, folder)


@dataclass
class KeptRun:
    """What a tracker has of one run. `points` are (step, value) for each curve, `files` the bytes of each by its path."""

    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    points: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    datasets: list[TrackedDataset] = field(default_factory=list)
    status: str = "RUNNING"


class FakeTracker:
    """`tasks.tracking.Tracker` in memory, where `runs` can be looked at.

    While it is `down`, it does not answer; while it is `mute`, it keeps points and its answer is lost. `calls` counts batches that came.
    """

    def __init__(self) -> None:
        self.runs: dict[str, KeptRun] = {}
        self.down = self.mute = False
        self.calls = 0
        self._seen: set[tuple[str, str, int, int, float]] = set()

    def open_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> TrackedRun:
        run_id = f"{experiment}-{len(self.runs)}"
        self.runs[run_id] = KeptRun(tags=dict(tags))
        return TrackedRun(run_id=run_id, url=f"http://tracking/{run_id}")

    def log_params(self, run_id: str, params: Mapping[str, object]) -> None:
        self._known(run_id).params |= {key: str(value) for key, value in params.items()}

    def log_points(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        curves = self._known(run_id).points
        self.calls += 1
        for point in points:
            for key, value in point.values.items():
                identity = (run_id, key, point.step, point.milliseconds, value)
                if identity not in self._seen:
                    self._seen.add(identity)
                    curves.setdefault(key, []).append((point.step, value))
        if self.mute:
            raise RegistryError("the answer was lost")

    def log_file(self, run_id: str, path: Path, folder: str = "") -> None:
        self._known(run_id).files[f"{folder}/{path.name}".lstrip("/")] = path.read_bytes()

    def log_dataset(self, run_id: str, dataset: TrackedDataset) -> None:
        kept = self._known(run_id).datasets
        if (dataset.name, dataset.digest) not in [(held.name, held.digest) for held in kept]:
            kept.append(dataset)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._known(run_id).tags |= tags

    def close_run(self, run_id: str, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        self._known(run_id).status = status

    def _known(self, run_id: str) -> KeptRun:
        if self.down:
            raise RegistryError("no answer")
        if run_id not in self.runs:
            raise RegistryError(f"there is no run {run_id}")
        return self.runs[run_id]


class FakeEngine:
    """`tasks.generation.Engine` whose answers say who was asked what: `<adapter>|<role>:<content>|...`, cut after `max_new_tokens` words.

    While `gate` is cleared, answers wait for it.
    """

    def __init__(self, base_digest: str) -> None:
        self._base_digest = base_digest
        self._adapters: dict[str, Path] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()

    @property
    def base_digest(self) -> str:
        return self._base_digest

    def adapters(self) -> tuple[str, ...]:
        return tuple(self._adapters)

    def load_adapter(self, name: str, artifact: Path) -> None:
        if name in self._adapters:
            raise ModelError("an adapter of this name is loaded already", where=name)
        if read_manifest(artifact).base.digest != self._base_digest:
            raise ModelError("the version belongs to another base", where=name)
        self._adapters[name] = artifact

    def unload_adapter(self, name: str) -> None:
        self._require(name)
        del self._adapters[name]

    def answer(
        self,
        prompts: Sequence[Sequence[Message]],
        *,
        adapter: str | None,
        max_new_tokens: int,
        batch_size: int = 1,
        allowed: Sequence[str] | None = None,
        on_answer: Callable[[int], None] | None = None,
    ) -> list[Answer]:
        self.asked.set()
        self.gate.wait(timeout=30)
        if adapter is not None:
            self._require(adapter)
        return [self._answer(prompt, adapter, max_new_tokens) for prompt in prompts]

    def _answer(self, prompt: Sequence[Message], adapter: str | None, limit: int) -> Answer:
        said = [f"{message['role']}:{message['content']}{message.get('tool_calls', '')}" for message in prompt]
        words = "|".join([adapter or "base", *said]).split(" ")
        cut = words[:limit]
        return Answer(" ".join(cut), sum(len(turn.split()) for turn in said), len(cut), "stop" if len(words) <= limit else "length")

    def _require(self, name: str) -> None:
        if name not in self._adapters:
            raise ModelError("no adapter has this name", where=name)
