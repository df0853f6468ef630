"""What one contender handed in, and all figures of it. Importing this module is slow; import it where figures are computed."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tasks.artifacts import Figures
from tasks.evaluate.custom import score_rows
from tasks.evaluate.metrics import TEXT_METRICS, MacroF1, Outputs, Perplexity, Rows, SchemaMatch, StopsByItself, compute
from tasks.evaluate.perplexity import RowLoss
from tasks.rows import Message


@dataclass(frozen=True)
class Sheet:
    """Answers of one contender to all test rows, in their order. Null: not known of this contender.

    Attributes:
        stopped: whether it ended each answer itself.
        judged: the judge's score of each row, null where it was not judged; all is null if it failed on a row.
        milliseconds: what each answer took that was generated alone, null for the others.
        artifact_mib: size of its artifact on disk.
    """

    expected: Sequence[str]
    answers: Sequence[str]
    prompts: Sequence[Sequence[Message]] = ()
    stopped: Sequence[bool] | None = None
    losses: Sequence[RowLoss] | None = None
    judged: Sequence[float | None] | None = None
    milliseconds: Sequence[float | None] | None = None
    artifact_mib: float | None = None


@dataclass(frozen=True)
class Scheme:
    """What is measured of every contender, and all that it takes besides answers.

    Attributes:
        wanted: names of metrics (`tasks.evaluate.metric_kinds.choose_metrics`).
        labelled: whether answers are labels; macro-F1 has no meaning otherwise.
        custom: the `package.module:NAME` of metrics by their names.
    """

    wanted: Collection[str]
    labelled: bool
    schema: Mapping[str, Any] | None = None
    custom: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """Figures, and the numbers of single rows by metric, as far as it has any; `loss` and `loss_tokens` among them."""

    figures: Figures
    rows: Mapping[str, Rows]
    signatures: Mapping[str, str]


def measure_sheet(sheet: Sheet, scheme: Scheme, scratch: Path) -> Measured:
    """All figures of one contender.

    Args:
        scratch: existing folder for the metrics' own files.

    Raises:
        EvaluationError: no rows, a missing answer, another number of answers than rows, or a custom metric failed.
    """
    values: dict[str, float | None] = dict.fromkeys(scheme.wanted)
    rows: dict[str, Rows] = {}
    signatures: dict[str, str] = {}
    for names, outputs in _outputs(sheet, scheme, scratch):
        values |= {name: outputs[name] for name in names if name in values}
        rows |= {name: numbers for name, numbers in outputs["rows"].items() if name in values}
        if "signature" in outputs:
            signatures[names[0]] = outputs["signature"]
    values |= {"artifact_mib": sheet.artifact_mib} if "artifact_mib" in values else {}
    if sheet.losses is not None:
        rows["loss"] = [loss.nats if math.isfinite(loss.nats) else None for loss in sheet.losses]
        rows["loss_tokens"] = [float(loss.tokens) for loss in sheet.losses]
    return Measured(Figures(values=values), rows, signatures)


def _outputs(sheet: Sheet, scheme: Scheme, scratch: Path) -> list[tuple[tuple[str, ...], Outputs]]:
    """Figures with the names that they answer to; each metric that is wanted is computed once."""
    wanted, answers, expected = set(scheme.wanted), sheet.answers, sheet.expected
    found = [(names, compute(metric, answers, expected, scratch)) for metric, names in TEXT_METRICS if wanted & {*names}]
    if scheme.labelled and "macro_f1" in wanted:
        found.append((("macro_f1",), compute(MacroF1, answers, expected, scratch)))
    if scheme.schema is not None and "json_schema" in wanted:
        found.append((("json_schema",), compute(SchemaMatch, answers, expected, scratch, schema=scheme.schema)))
    if sheet.stopped is not None and "eos_rate" in wanted:
        found.append((("eos_rate",), compute(StopsByItself, sheet.stopped, sheet.stopped, scratch)))
    if sheet.losses is not None and "perplexity" in wanted:
        nats, tokens = zip(*sheet.losses, strict=True)
        found.append((("perplexity",), compute(Perplexity, nats, tokens, scratch)))
    if sheet.judged is not None and "judge" in wanted:
        found.append((("judge",), _mean_of("judge", sheet.judged)))
    if sheet.milliseconds is not None and "latency_ms" in wanted:
        found.append((("latency_ms",), _median_of("latency_ms", sheet.milliseconds)))
    for name, metric in scheme.custom.items():
        found.append(((name,), _mean_of(name, score_rows(metric, expected, answers, sheet.prompts))))
    return found


def _mean_of(name: str, rows: Sequence[float | None]) -> Outputs:
    known = [value for value in rows if value is not None]
    return {name: sum(known) / len(known) if known else None, "rows": {name: list(rows)}}


def _median_of(name: str, rows: Sequence[float | None]) -> Outputs:
    known = [value for value in rows if value is not None]
    return {name: median(known) if known else None, "rows": {name: list(rows)}}
