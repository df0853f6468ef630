"""What a run's page and its model card are made of: the records that stages handed on, and what their files say.

Files are read with tolerance: what an older run, or a pipeline that does less, has not written is left out of the page and no fault.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, GateReport, PreparedData, RunContext, TrainedModel
from tasks.files import read_json
from tasks.report.summary import Outcome, RunParts
from tasks.rows import Message, read_rows

CONTENDERS = {"base": "base", "tuned": "tuned", "champion": "champion"}
"""Who may have answered, in the order in which they are shown."""

_GRADED = ("judge", "rougeL", "rougeLsum", "rouge1", "chrf")
"""What tells a good free answer from a bad one, the best first; where none was measured, it has to be the expected one."""


@dataclass(frozen=True)
class Answers:
    """All answers, a row for each test row.

    Attributes:
        frame: `row_id`, `expected`, a text column for each of `contenders`, `champion_saw` if a champion answered, and
            `<contender>.<metric>` and `slice.<name>` as far as they were measured; `<contender>.accuracy` always.
        metric: the one by which an answer is called right, or better than another.
    """

    frame: pl.DataFrame
    contenders: tuple[str, ...]
    metric: str

    @property
    def exact(self) -> bool:
        """Whether an answer is right or wrong, and nothing between."""
        return all(values.is_in([0.0, 1.0]).all() for values in map(self.scores, self.contenders))

    def scores(self, contender: str) -> pl.Series:
        """A number for each row; null where it was not measured."""
        return self.frame[f"{contender}.{self.metric}"]


@dataclass(frozen=True)
class Material:
    """A run that reached evaluation.

    Attributes:
        outcome: how it ended; null while it is not over.
        report: its gates; null if they were not judged.
        manifest: of the trained artifact, and `data_report` what preparation found, as they are stored; empty where there is none.
        has_data_page: whether the page of preparation lies beside the run's.
    """

    config: PipelineConfig
    context: RunContext
    parts: RunParts
    data: PreparedData
    trained: TrainedModel
    evaluated: EvaluationResult
    outcome: Outcome | None
    report: GateReport | None
    answers: Answers
    prompts: Mapping[str, list[Message]]
    manifest: Mapping[str, Any]
    data_report: Mapping[str, Any]
    has_data_page: bool

    @property
    def labelled(self) -> bool:
        """Whether answers are labels."""
        return self.data.labels is not None


def gather(config: PipelineConfig, context: RunContext, parts: RunParts, outcome: Outcome | None, folder: Path) -> Material | None:
    """Reads what there is; null if the run did not reach evaluation.

    Args:
        folder: where the page will lie.
    """
    from tasks.files import DATA_PAGE
    from tasks.manifest import MANIFEST

    if parts.data is None or parts.trained is None or parts.evaluated is None:
        return None
    rows = read_rows(parts.data.folder / "test.parquet")
    return Material(
        config=config,
        context=context,
        parts=parts,
        data=parts.data,
        trained=parts.trained,
        evaluated=parts.evaluated,
        outcome=outcome,
        report=parts.judged.report if parts.judged else None,
        answers=read_answers(parts.evaluated, labelled=parts.data.labels is not None),
        prompts={row["row_id"]: row["messages"][:-1] for row in rows},
        manifest=_stored(parts.trained.artifact / MANIFEST),
        data_report=_stored(parts.data.folder / "report.json"),
        has_data_page=(folder / DATA_PAGE).is_file(),
    )


def read_answers(evaluated: EvaluationResult, *, labelled: bool) -> Answers:
    """The predictions of an evaluation, with the scores of each row where there are any."""
    frame = pl.read_parquet(evaluated.folder / "predictions.parquet")
    contenders = tuple(name for name in CONTENDERS if name in frame.columns)
    scores = evaluated.folder / "scores.parquet"
    if scores.is_file():
        extra = pl.read_parquet(scores).unique("row_id", keep="first", maintain_order=True)
        known = [name for name in extra.columns if name != "row_id" and name in frame.columns]
        frame = frame.join(extra.drop(known), on="row_id", how="left", maintain_order="left")
    missing = [name for name in contenders if f"{name}.accuracy" not in frame.columns]
    right = [(_bare(name) == _bare("expected")).cast(pl.Float64).alias(f"{name}.accuracy") for name in missing]
    frame = frame.with_columns(right)
    graded = [] if labelled else [name for name in _GRADED if all(f"{who}.{name}" in frame.columns for who in contenders)]
    return Answers(frame, contenders, next(iter(graded), "accuracy"))


def _bare(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars()


def _stored(path: Any) -> Mapping[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, Mapping) else {}
