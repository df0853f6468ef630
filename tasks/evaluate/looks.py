"""How often an artifact has been judged before, as the workspace remembers it and not as anybody says.

A judgement is what was answered and by which gates it was judged. The same judgement made again is no further look: it can only say the
same. Another one on the same artifact (more test rows, other gates, another champion) is, and each look is a chance to pass by luck: the
second one is therefore judged at 0.01 instead of 0.025, so that both together promote a model that should not be at most 35 times in
1,000, and after it comparisons decide nothing any more.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline_config.errors import EvaluationError
from tasks.artifacts import Record, Verdict
from tasks.files import exclusive, sha256_json, write_atomically
from tasks.statistics import LEVEL

SECOND_LEVEL = 0.01
_LOG = "judgements.jsonl"


@dataclass(frozen=True)
class Look:
    """Which look at an artifact this is.

    Attributes:
        number: 1 for the first.
        earlier: digests of the reports of the looks before it, oldest first.
    """

    number: int = 1
    earlier: tuple[str, ...] = ()

    @property
    def level(self) -> float | None:
        """One-sided level of its comparisons; null if they may not decide any more."""
        return {1: LEVEL, 2: SECOND_LEVEL}.get(self.number)


FIRST = Look()


class Judgement(Record):
    """One line of the log. `key` digests the answers and the gates (:func:`judgement_key`)."""

    key: str
    artifact_digest: str
    report_digest: str
    verdict: Verdict


def judgement_key(artifact_digest: str, answers_digest: str, gates: Mapping[str, Any], champion: str | None) -> str:
    """Digest of what makes one judgement another one."""
    return sha256_json([artifact_digest, answers_digest, gates, champion])


def looking(workspace: Path) -> AbstractContextManager[None]:
    """Holds the log, from finding out which look it is until the report is written down."""
    return exclusive(workspace / f".{_LOG}.lock")


def look_at(workspace: Path, key: str, artifact_digest: str) -> Look:
    """Which look a judgement is. One that was made before is the look that it was then.

    Raises:
        EvaluationError: the log cannot be read, so nobody can tell.
    """
    log = _read(workspace)
    place = next((at for at, line in enumerate(log) if line.key == key), len(log))
    earlier = [line.report_digest for line in log[:place] if line.artifact_digest == artifact_digest]
    return Look(len(earlier) + 1, tuple(earlier))


def remember(workspace: Path, judgement: Judgement) -> None:
    """Adds a judgement to the log, unless it is there. Whoever calls this holds :func:`looking`."""
    log = _read(workspace)
    if all(line.key != judgement.key for line in log):
        lines = "".join(f"{line.model_dump_json()}\n" for line in (*log, judgement))
        write_atomically(workspace / _LOG, lines.encode())


def _read(workspace: Path) -> list[Judgement]:
    path = workspace / _LOG
    if not path.is_file():
        return []
    try:
        return [Judgement.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValidationError, UnicodeDecodeError) as error:
        raise EvaluationError(
            f"the log of judgements cannot be read: {error}", where=str(path), expected="one judgement a line",
            hint="put it back from a backup: without it nobody can tell how often an artifact was judged",
        ) from error  # fmt: skip
