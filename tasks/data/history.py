"""What a model's earlier runs left, and what that says of the rows of this one."""

from pathlib import Path

from tasks.artifacts import Record
from tasks.data.findings import DataReport, Drift, Profile
from tasks.data.profile import compare_profiles
from tasks.files import write_atomically


class _Seen(Record):
    digest: str
    profile: Profile


def drift_since_last_run(history: Path, report: DataReport) -> Drift | None:
    """How far the rows have moved from those of the previous run; null if there was none, or its rows were the same."""
    path = _path(history)
    if not path.is_file():
        return None
    before = _Seen.model_validate_json(path.read_bytes())
    return None if before.digest == report.digest else compare_profiles(report.profile, before.profile)


def keep_profile(history: Path, report: DataReport) -> None:
    """Makes these rows the previous ones of the next run."""
    write_atomically(_path(history), _Seen(digest=report.digest, profile=report.profile).model_dump_json(indent=2).encode())


def _path(history: Path) -> Path:
    return history / "profile.json"
