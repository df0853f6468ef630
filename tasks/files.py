"""Atomic writes, content digests, locks and the layout of the workspace."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20
SUMMARY = "summary.json"
"""What a run did, in its folder."""
DATA_PAGE = "data-report.html"
"""What was found in the rows, beside it."""
JUDGED = "judged.json"
"""What its rows can be judged by once more, without a model."""
RUN_PAGE = "report.html"
"""What the run came to, in its folder and among the files of its version."""
MODEL_CARD = "README.md"
"""What a version is and is not good for, in Hugging Face's format; in both places, too."""
FIGURES = "figures"
"""Folder beside them with the page's drawings as SVG."""
MARKS = "marks.parquet"
"""How an artifact did on each validation row (`tasks.artifacts.ValidationMarks`)."""
LATEST = "latest"
"""Beside the run folders: a link to the newest one."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file as a whole: a reader, or a crash, sees the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    with draft.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically. NaN is refused: it is not JSON."""
    write_atomically(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_bytes(content: bytes) -> str:
    """Hex SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of a value's canonical JSON: sorted keys, no spaces."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def file_digests(folder: Path, *, leave_out: Iterable[str] = ()) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its POSIX path relative to it, sorted."""
    skipped = set(leave_out)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = ((path.relative_to(folder).as_posix(), path) for path in files)
    return {name: sha256_file(path) for name, path in names if name not in skipped}


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds an advisory lock on a file; waits for whoever holds it. The lock ends with the process, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def point_latest_at(run_folder: Path) -> None:
    """Makes `runs/latest` name this run, atomically."""
    link, draft = run_folder.parent / LATEST, run_folder.parent / f".latest.{os.getpid()}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(run_folder.name)
    draft.replace(link)


def run_folder(workspace: Path, run_id: str) -> Path:
    """`runs/<run id>`: what a person looks at after a run."""
    return workspace / "runs" / run_id


def stage_store(workspace: Path) -> Path:
    """`store/<stage>/<key>`: what stages produced, by content key, shared by all runs."""
    return workspace / "store"


def base_cache(workspace: Path) -> Path:
    """`bases/<digest>`: base models as safetensors."""
    return workspace / "bases"


def candidate_cache(workspace: Path) -> Path:
    """Rewordings that were made once, shared by all runs."""
    return workspace / "candidates.sqlite"


def ledger_path(workspace: Path) -> Path:
    """The production ledger."""
    return workspace / "ledger.sqlite"


def version_cache(workspace: Path) -> Path:
    """`versions/<adapter name>`: verified copies of registered versions, for the model server."""
    return workspace / "versions"
