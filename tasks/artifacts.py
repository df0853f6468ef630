"""Frozen records that stages hand on: paths, digests and numbers, never frames or models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

Outcome = Literal["pass", "fail", "hold", "not_applicable"]
Verdict = Literal["pass", "fail", "hold"]
ArmMetric = Literal["exact_match", "loss"]
"""What the arms of an ablation are compared by."""
LayoutName = Literal["varlen", "flex", "blocks", "packed", "padded"]
"""How rows are laid out for one forward pass, see `tasks.batching`."""


class Record(BaseModel):
    """A frozen value that can be stored as JSON. NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RunContext(Record):
    """Which run a stage works for, and where it may write."""

    run_id: str
    workspace: Path
    mlflow_run_id: str
    mlflow_run_url: str
    prefect_run_url: str | None


class RowCounts(Record):
    """Every row that was read has exactly one fate.

    `read = train + validation + test + quarantined + duplicates + unselected + set_aside`, over both source files.
    """

    read: int
    train: int
    validation: int
    test: int
    quarantined: int
    duplicates: int
    unselected: int
    set_aside: int


class OperatorCounts(Record):
    """What came of one operator: `asked = accepted + sum of rejected`.

    Attributes:
        version: digest of what made the texts (`tasks.augment.operators.Operator`).
        rejected: numbers by reason.
        unanswered: how many of the rejected ones the next run asks for again, because an endpoint was away.
        similarity: mean cosine of the accepted ones to their parents; null if there are none.
        cost: what an endpoint asked for them, in the configuration's currency; null where nothing is paid.
        missing: what the operator needs and did not find, with the command that brings it; null if it was there.
        dropped: why an ablation switched it off; null if it was on.
    """

    name: str
    version: str | None
    asked: int
    accepted: int
    rejected: dict[str, int]
    similarity: float | None
    seconds: float
    unanswered: int = 0
    cost: float | None = None
    missing: str | None = None
    dropped: str | None = None


class ValidationMarks(Record):
    """How one artifact did on each validation row.

    `folder/marks.parquet` has `row_id`, `cluster` (rows that belong together), `answer`, `amount` and `weight`. Of `exact_match` the amount
    is 1 for a right answer and 0 for another one, and the weight 1; of `loss` they are nats and tokens of the expected answer, and no
    answer was asked for. `value` is the sum of the amounts over that of the weights.
    """

    folder: Path
    metric: ArmMetric
    rows: int
    value: float


class AblationArm(Record):
    """An operator against training without any, at equal steps, on the same validation rows.

    `value` is the figure with the operator's rows, `without` that without any, `lift` by how much the first is better, whichever way is
    better, and `interval` that of the lift, two-sided with 0.025 beyond each end. `kept` if the interval lies above zero.

    Attributes:
        accepted: reworded rows that were trained on besides the others.
        rows: validation rows.
    """

    name: str
    accepted: int
    rows: int
    value: float
    without: float
    lift: float
    interval: tuple[float, float]
    kept: bool


class Ablation(Record):
    """What each operator is worth; `steps` are the optimizer steps of every arm. Lies in `folder` with the marks of every arm.

    `metric` is exact match where answers are labels, else the loss of the expected answers in nats a token.
    """

    folder: Path
    steps: int
    arms: tuple[AblationArm, ...]
    metric: ArmMetric = "exact_match"

    @property
    def dropped(self) -> tuple[str, ...]:
        """Operators without measured lift."""
        return tuple(arm.name for arm in self.arms if not arm.kept)


class Augmentation(Record):
    """What was added to the training rows. `children.parquet` beside them names each one's parent (`tasks.augment.children.CHILDREN`)."""

    rows: int
    operators: tuple[OperatorCounts, ...]
    ablation: Ablation | None = None


class PreparedData(Record):
    """Rows fit for training and measuring, in `folder`.

    Files: `train.parquet`, `validation.parquet`, `test.parquet` (see `tasks.rows`), `quarantine.parquet`, `duplicates.parquet`,
    `split.parquet`, `test_columns.parquet` (`tasks.rows.TEST_COLUMNS`), `benchmark.parquet` where there are benchmarks, and `report.json`
    (`tasks.data.findings.DataReport`). `canaries` rows are planted in `train.parquet` besides those that `counts` speaks of, and so are the
    rows of `augmentation`. `warnings` are sentences for the run's summary. `digest` is of all rows, `training_digest` of those that
    training sees: more test rows are other data, and train no other model.
    """

    folder: Path
    digest: str
    training_digest: str
    instruction: str | None
    labels: tuple[str, ...] | None
    counts: RowCounts
    canaries: int = 0
    augmentation: Augmentation | None = None
    warnings: tuple[str, ...] = ()

    @property
    def training_rows(self) -> int:
        """All rows of `train.parquet`."""
        return self.counts.train + self.canaries + (self.augmentation.rows if self.augmentation is not None else 0)


class CurvePoint(Record):
    """One validation pass during training. Losses are nats per supervised token."""

    step: int
    epoch: float
    train_loss: float | None
    validation_loss: float


class TrainedModel(Record):
    """What training left behind: `folder/artifact` is what a version consists of, with its `manifest.json`.

    `notes` are sentences for the run's summary: whatever was done in another way than usual.
    """

    folder: Path
    artifact_digest: str
    base_digest: str
    method: str
    steps: int
    shipped_step: int
    curve: tuple[CurvePoint, ...]
    stopped_early: bool
    layout: LayoutName
    supervised_tokens: int
    total_tokens: int
    tokens_per_second: float | None
    peak_memory_bytes: int
    notes: tuple[str, ...] = ()

    @property
    def artifact(self) -> Path:
        """The folder that is registered and served."""
        return self.folder / "artifact"


class Figures(Record):
    """Metrics of one contender on the test rows by their names. Null or absent: without meaning for this task, or not measured.

    `accuracy` and `macro_f1` are shares; `perplexity` is exp of the mean loss in nats over the answers' tokens. As JSON this is the plain
    mapping of names to numbers.
    """

    values: dict[str, float | None] = Field(default_factory=dict)

    def get(self, name: str) -> float | None:
        """The figure of that name; null where there is none."""
        return self.values.get(name)

    @model_validator(mode="before")
    @classmethod
    def _from_plain_mapping(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and not isinstance(data.get("values"), Mapping):
            return {"values": data}
        return data

    @model_serializer
    def _as_plain_mapping(self) -> dict[str, float | None]:
        return self.values


class SideFit(Record):
    """The checkpoint that would ship on one side's rows, without dropout.

    `loss` in nats per token of the answers; null if it was not a finite number. `familiar` rows have a loss a token as small as nine in ten
    training rows have.
    """

    rows: int
    loss: float | None
    familiar: int


class Fit(Record):
    """How the checkpoint that would ship does on a sample of its training rows, on validation and on test rows, measured alike."""

    train: SideFit
    validation: SideFit
    test: SideFit


class WordingFit(Record):
    """Its losses on training rows that others were made from by augmentation, and on those others, in nats a token."""

    parents: float | None
    augmented: float | None


class RetainedCategory(Record):
    """What base and tuned made of one category of the general suite: numbers of questions.

    `gained` are those that only tuned has right, `lost` those that only the base has right.
    """

    name: str
    questions: int
    base_right: int
    tuned_right: int
    gained: int
    lost: int


class GeneralLosses(Record):
    """Mean loss of base and tuned on each block of a general text, in nats a token. Null: it was no finite number.

    Every block has `block_tokens` tokens with a loss. `digest` is the SHA-256 of the whole text that blocks were taken from.
    """

    source: str
    digest: str
    block_tokens: int
    base: tuple[float | None, ...]
    tuned: tuple[float | None, ...]

    @property
    def tokens(self) -> int:
        """Tokens that carry loss, for each contender."""
        return self.block_tokens * len(self.base)


class Retention(Record):
    """What the base could do in general and tuned still can: the general suite, and a general text.

    `unanswered` are questions to which one of them gave no finite likelihood. `text` is null if this machine has no such text.
    """

    suite_digest: str
    categories: tuple[RetainedCategory, ...]
    unanswered: int
    text: GeneralLosses | None

    @property
    def questions(self) -> int:
        """All questions that were asked."""
        return sum(category.questions for category in self.categories)


class EvaluationResult(Record):
    """Answers and figures of all contenders on the same test rows.

    `folder/predictions.parquet` has one row for each test row, in the test file's order: `row_id`, `expected`, `base`, `tuned`, and, if a
    champion answered, `champion` and `champion_saw` (whether it was trained on that row, which a comparison with it leaves out).

    `folder/scores.parquet` has the same rows: `row_id`, `cluster` (rows that belong together), `<contender>.<metric>` for what has a number
    a row, null where it was not measured, with `<contender>.loss` and `.loss_tokens`, and `slice.<name>` (`tasks.evaluate.scores`). Where
    answers are labels there are `classes.parquet` and `confusion.parquet` besides (`tasks.evaluate.classes`).

    Attributes:
        tasks: what answers are: `labels`, `text`, `json`.
        custom: which way is better for each custom metric.
        signatures: how sacrebleu computed its figures.
        safety: how many of tuned's answers hold personal data or a secret of each kind that neither prompt nor expected answer holds; `any`
            of them, and how many `answers` were looked at (`tasks.evaluate.safety`).
        judge_failures: rows, over all contenders, on which the judge gave no verdict; a contender with one has no figure `judge`.
        decided_before: how many other artifacts were evaluated in this workspace on half of these test rows or more.
        retention: what base and tuned can do in general; null where no gate asks for it. `retention.parquet` has their answers
            (`tasks.evaluate.retention.ANSWERED`).
        fit: tuned on training, validation and test rows; null in evaluations that did not measure it.
        wording: tuned on augmented rows and on those that they were made from; null where there are none.
        canary_ranks: of planted canaries among other codes (`tasks.evaluate.exposure`); null where there are none.
    """

    folder: Path
    rows: int
    base: Figures
    tuned: Figures
    tfidf: Figures
    champion: Figures | None
    champion_name: str | None
    champion_fault: str | None
    champion_seen_rows: int
    tuned_train_accuracy: float | None
    base_constrained: bool
    tuned_digest: str | None = None
    tasks: tuple[Literal["labels", "text", "json"], ...] = ()
    custom: dict[str, Literal["higher", "lower", "neither"]] = Field(default_factory=dict)
    signatures: dict[str, str] = Field(default_factory=dict)
    safety: dict[str, int] = Field(default_factory=dict)
    judge_failures: int = 0
    judge_fault: str | None = None
    decided_before: int = 0
    retention: Retention | None = None
    fit: Fit | None = None
    wording: WordingFit | None = None
    canary_ranks: tuple[int, ...] | None = None

    @property
    def latency_ms(self) -> float | None:
        """Median milliseconds of one of tuned's answers, each generated alone."""
        return self.tuned.get("latency_ms")

    @property
    def artifact_mib(self) -> float | None:
        """Size of tuned's artifact."""
        return self.tuned.get("artifact_mib")


class SliceResult(Record):
    """What a gate saw of one slice of the test rows. `level` is the one-sided level that its interval was read at."""

    slice: str
    value: float | None
    threshold: float
    interval: tuple[float, float] | None
    level: float | None
    rows: int
    outcome: Outcome


class GateResult(Record):
    """What one gate saw and decided.

    `interval` is two-sided: a comparison is read off it, and beside an absolute figure it is only shown. `level` is what lies outside each
    of its ends: 0.025, or 0.01 where the artifact had been judged before. `rows` is the number of test rows that count here. `more_rows`
    is how many more would decide a gate that is held, if the rates stay as they are. A gate on slices has one of `slices` for each.
    """

    name: str
    kind: str
    metric: str | None
    value: float | None
    threshold: float
    interval: tuple[float, float] | None
    rows: int | None
    outcome: Outcome
    reason: str
    level: float | None = None
    more_rows: int | None = None
    slices: tuple[SliceResult, ...] = ()


class GateReport(Record):
    """All gates of one trained artifact. Its file's SHA-256 is the evidence that promotion checks.

    `look` says the how manieth judgement of this artifact it is; `earlier` are the digests of the reports before it, oldest first.
    `rejudges` is the digest of the report of a finished
    run whose rows were judged by other gates, without a model: such a report opens nothing.
    """

    artifact_digest: str
    data_digest: str
    config_digest: str
    gates: tuple[GateResult, ...]
    verdict: Verdict
    look: int = 1
    earlier: tuple[str, ...] = ()
    rejudges: str | None = None


class GateEvidence(Record):
    """A stored gate report: where it lies and what its bytes hash to."""

    path: Path
    digest: str
    report: GateReport


class RegisteredVersion(Record):
    """A version in the model registry. `adapter_name` is the name that the model server knows it by; never reused."""

    model_name: str
    version: int
    adapter_name: str
    artifact_digest: str
    gate_report_digest: str
    url: str


class StageRecord(Record):
    """How a stage went in this run."""

    name: str
    status: Literal["completed", "reused", "skipped", "failed"]
    seconds: float
    reused: bool


class Rival(Record):
    """The champion that a new artifact has to stand up to. `fault` says why it cannot be asked."""

    adapter_name: str
    artifact_digest: str
    folder: Path | None
    fault: str | None


class PromotionOutcome(Record):
    """How the promotion run ended: `Promoted`, `AwaitingApproval`, `Refused`, or any state name of Prefect's."""

    state: str
    message: str | None
    url: str | None
    seconds: float
