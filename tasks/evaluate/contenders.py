"""Puts the same rows to every contender, and keeps the answers by content: what was answered once is never generated again."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from pipeline_config.data import SensitiveKind
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import LayoutName, Record
from tasks.batching import LAYOUTS
from tasks.chat import encode_last_answer, expected_answer
from tasks.engine import TransformersEngine, open_engine
from tasks.evaluate.general_exam import GeneralAnswers, GeneralExam
from tasks.evaluate.perplexity import RowLoss, row_losses
from tasks.files import sha256_json, stage_store
from tasks.generation import Answer
from tasks.manifest import Dtype, Quantization, read_manifest
from tasks.methods import find_method
from tasks.methods.settings import settle
from tasks.models import identify_base, load_tokenizer
from tasks.rows import Message, Row, answer_of, messages_digest, prompt_of, read_rows, spread_evenly
from tasks.stages import StageResult, run_stage

Progress = Callable[[str, int, int], None]
"""Told what is going on, how many rows are done, and of how many."""

_ANSWERS = "answers.parquet"
_LOSSES = "losses.parquet"
_ANSWERS_SCHEMA = pl.Schema(
    {"row_id": pl.String(), "answer": pl.String(), "stopped": pl.Boolean(), "tokens": pl.Int64(), "milliseconds": pl.Float64()}
)
"""`stopped`: the model ended the answer itself; `milliseconds`: how long it took where it was generated alone, else null."""


@dataclass(frozen=True)
class Questions:
    """Rows to be answered. Adapters answer those at the indices `alone` one by one, as the endpoint will: in bf16 a near-tie can fall the
    other way in a batch, and the endpoint is held to what was judged."""

    name: str
    rows: Sequence[Row]
    alone: Sequence[int] = ()

    @property
    def digest(self) -> str:
        """Digest of the rows in their order; how they fall into batches can change an answer in bf16."""
        return sha256_json([row["digest"] for row in self.rows])


@dataclass(frozen=True)
class Adapter:
    """A contender that is not the bare base: its name in the engine and in progress lines, its folder and its digest."""

    name: str
    folder: Path
    digest: str


class Answers(Record):
    """One contender's answers, in the order of the rows."""

    folder: Path

    def texts(self) -> list[str]:
        """The answers as they were generated."""
        return [str(text) for text in self._column("answer")]

    def stopped(self) -> list[bool]:
        """Whether the model ended each answer itself."""
        return [bool(value) for value in self._column("stopped")]

    def milliseconds(self) -> list[float | None]:
        """What each answer took that was generated alone; null for the others."""
        return list(self._column("milliseconds"))

    def _column(self, name: str) -> pl.Series:
        return pl.read_parquet(self.folder / _ANSWERS, columns=[name])[name]


class Loss(Record):
    """Loss of the expected answers' tokens in nats, over all of them; null if it was not a finite number."""

    folder: Path
    mean: float | None

    def rows(self) -> list[RowLoss]:
        """The loss of each row, in the order of the rows."""
        return [RowLoss(nats, tokens) for nats, tokens in pl.read_parquet(self.folder / _LOSSES, columns=["nats", "tokens"]).iter_rows()]


@dataclass(frozen=True)
class _Given:
    """An answer, and how long it took if nothing else was answered meanwhile."""

    answer: Answer
    milliseconds: float | None = None


def read_questions(name: str, path: Path, *, alone: int = 0) -> Questions:
    """All rows of a file, `alone` of which are answered one by one."""
    rows = read_rows(path)
    return Questions(name, rows, spread_evenly(alone, len(rows)))


def sample(questions: Questions, size: int, name: str) -> Questions:
    """The rows with the smallest digests: as good as drawn at random, and the same ones every time."""
    return Questions(name, sorted(questions.rows, key=lambda row: row["digest"])[:size])


def as_trained(messages: Sequence[Message], kinds: Sequence[SensitiveKind]) -> list[Message]:
    """Messages as the rows of a version were, in whose training these kinds of personal data stood masked."""
    if not kinds:
        return list(messages)
    from tasks.masking import mask_messages  # it brings detect-secrets, which is needed for such versions only

    return mask_messages(messages, kinds).messages


def as_served(questions: Questions, kinds: Sequence[SensitiveKind]) -> Questions:
    """Questions as the endpoint puts them to such a version. The expected answers stay, so that all contenders are held to the same."""
    chats = [[*as_trained(prompt_of(row), kinds), row["messages"][-1]] for row in questions.rows]
    rows: list[Row] = [{**row, "messages": chat, "digest": messages_digest(chat)} for row, chat in zip(questions.rows, chats, strict=True)]
    return replace(questions, rows=rows)


def list_labels(prompt: Sequence[Message], labels: Sequence[str]) -> list[Message]:
    """The prompt with the label names in its system turn, which is added if there is none: what a base model needs for a fair chance."""
    listed = "Answer with exactly one of these labels and nothing else:\n" + "\n".join(f"- {label}" for label in labels)
    first = prompt[0]
    if first["role"] != "system":
        return [{"role": "system", "content": listed}, *prompt]
    return [{"role": "system", "content": f"{first['content']}\n\n{listed}"}, *prompt[1:]]


class Examiner:
    """Asks contenders, each on a base in the precision that it was trained on and is served on; the bare base in that of the tuned model.

    An engine is opened when the first answer is missing, and not at all if none is.
    """

    def __init__(self, config: PipelineConfig, workspace: Path, layout: LayoutName, on_progress: Progress) -> None:
        """Prepares to ask.

        Args:
            layout: the fastest one that gives this model the loss of padded rows; training found out.
        """
        self._config, self._workspace, self._on_progress = config, workspace, on_progress
        self._layout = LAYOUTS[layout]
        self._engines: dict[tuple[Dtype, Quantization | None], TransformersEngine] = {}
        self._homes: dict[str, TransformersEngine] = {}

    def constrained_labels(self, labels: Sequence[str] | None) -> Sequence[str] | None:
        """The labels, if they are few enough for the base to be held to them."""
        return labels if labels is not None and len(labels) <= self._config.evaluation.max_constrained_labels else None

    def expected(self, questions: Questions) -> list[str]:
        """The texts that are right, as generation gives them; the tokenizer is loaded only if an answer calls tools."""
        if not any("tool_calls" in row["messages"][-1] for row in questions.rows):
            return [answer_of(row) for row in questions.rows]
        tokenizer = load_tokenizer(self._config.model, self._workspace)
        return [expected_answer(tokenizer, row) for row in questions.rows]

    def base_answers(self, questions: Questions, labels: Sequence[str] | None) -> StageResult[Answers]:
        """Answers of the bare base: with its best fair prompt and decoding held to the labels where there are labels, else as trained."""
        allowed = self.constrained_labels(labels)
        prompts = [prompt_of(row) if allowed is None else list_labels(prompt_of(row), allowed) for row in questions.rows]
        inputs = {"questions": questions.digest, "prompts": sha256_json(prompts), "allowed": allowed, **self._answering()}

        def ask() -> list[_Given]:
            return self._ask(f"base answers {questions.name}", prompts, None, allowed)

        return self._answers("answer-base", inputs, questions, ask)

    def answers(self, adapter: Adapter, questions: Questions) -> StageResult[Answers]:
        """Free answers of an adapter to the prompts that it was trained on.

        Raises:
            ModelError: the adapter cannot be loaded.
        """
        inputs = {"questions": questions.digest, "adapter": adapter.digest, "alone": list(questions.alone), **self._answering()}
        prompts = [prompt_of(row) for row in questions.rows]
        together = sorted(set(range(len(prompts))) - set(questions.alone))

        def ask() -> list[_Given]:
            what = f"{adapter.name} answers {questions.name}"
            alone = self._ask_alone(what, [prompts[index] for index in questions.alone], adapter)
            others = self._ask(what, [prompts[index] for index in together], adapter, None)
            given = dict(zip([*questions.alone, *together], [*alone, *others], strict=True))
            return [given[index] for index in range(len(prompts))]

        return self._answers("answer", inputs, questions, ask)

    def loss(self, adapter: Adapter | None, questions: Questions) -> StageResult[Loss]:
        """Loss of an adapter, or of the bare base, on the expected answers after the training prompt.

        Of a chat of several turns that is the last answer alone: all before it is prompt, as for the answers that are judged. Training and
        its validation loss count every answer.
        """
        batch = settle(self._config.training).training.per_device_train_batch_size  # fits in memory: training used it
        inputs = {
            "questions": questions.digest, "adapter": adapter.digest if adapter else None, "base": self._base(),
            "layout": self._layout.name, "batch": batch,
        }  # fmt: skip
        return run_stage(
            stage_store(self._workspace), "loss", inputs, Loss, lambda folder: self._measure(folder, adapter, questions, batch)
        )

    def general(self, adapter: Adapter | None, exam: GeneralExam) -> StageResult[GeneralAnswers]:
        """What an adapter, or the bare base, makes of the exam in general use."""
        inputs = {
            "exam": exam.digest, "adapter": adapter.digest if adapter else None, "base": self._base(), "layout": self._layout.name,
        }  # fmt: skip
        return run_stage(stage_store(self._workspace), "general", inputs, GeneralAnswers, lambda _: self._examine(adapter, exam))

    def _answers(
        self, stage: str, inputs: Mapping[str, Any], questions: Questions, ask: Callable[[], list[_Given]]
    ) -> StageResult[Answers]:
        def build(folder: Path) -> Answers:
            lines = [
                (row["row_id"], given.answer.text, given.answer.finish_reason == "stop", given.answer.completion_tokens, given.milliseconds)
                for row, given in zip(questions.rows, ask(), strict=True)
            ]
            pl.DataFrame(lines, schema=_ANSWERS_SCHEMA, orient="row").write_parquet(folder / _ANSWERS)
            return Answers(folder=folder)

        return run_stage(stage_store(self._workspace), stage, inputs, Answers, build)

    def _ask(self, what: str, prompts: Sequence[Sequence[Message]], adapter: Adapter | None, allowed: Sequence[str] | None) -> list[_Given]:
        total, settings = len(prompts), self._config.evaluation
        answers = self._engine(adapter).answer(
            prompts, adapter=adapter.name if adapter else None, max_new_tokens=settings.max_new_tokens, batch_size=settings.batch_size,
            allowed=allowed, on_answer=lambda done: self._on_progress(what, done, total),
        )  # fmt: skip
        return [_Given(answer) for answer in answers]

    def _ask_alone(self, what: str, prompts: Sequence[Sequence[Message]], adapter: Adapter) -> list[_Given]:
        """One call for each prompt, as the endpoint gets them, so that each has a time of its own."""
        given, limit = list[_Given](), self._config.evaluation.max_new_tokens
        for prompt in prompts:
            engine, started = self._engine(adapter), time.perf_counter()
            answer = engine.answer([prompt], adapter=adapter.name, max_new_tokens=limit)[0]
            given.append(_Given(answer, 1000 * (time.perf_counter() - started)))
            self._on_progress(what, len(given), len(prompts))
        return given

    def _measure(self, folder: Path, adapter: Adapter | None, questions: Questions, batch: int) -> Loss:
        engine = self._engine(adapter)
        tokenizer, window = engine.base.tokenizer, getattr(engine.base.model.config, "max_position_embeddings", None)
        rows = [encode_last_answer(tokenizer, row) for row in questions.rows]
        with engine.active(adapter.name if adapter else None) as model:
            pad_id = tokenizer.pad_token_id or 0
            losses = row_losses(self._layout, model, rows, rows_per_batch=batch, pad_id=pad_id, window=window)
        self._on_progress(f"perplexity of {adapter.name if adapter else 'base'} on {questions.name}", len(rows), len(rows))
        ids = [row["row_id"] for row in questions.rows]
        table = {"row_id": ids, "nats": [loss.nats for loss in losses], "tokens": [loss.tokens for loss in losses]}
        pl.DataFrame(table).write_parquet(folder / _LOSSES)
        nats, tokens = sum(loss.nats for loss in losses), sum(loss.tokens for loss in losses)
        return Loss(folder=folder, mean=nats / tokens if tokens and math.isfinite(nats) else None)

    def _examine(self, adapter: Adapter | None, exam: GeneralExam) -> GeneralAnswers:
        engine, name = self._engine(adapter), adapter.name if adapter else None
        with engine.active(name) as model:
            answers = exam.put_to(model, engine.base.tokenizer, self._layout)
        self._on_progress(f"{name or 'base'} in general use", len(exam.questions), len(exam.questions))
        return answers

    def _engine(self, adapter: Adapter | None) -> TransformersEngine:
        if adapter is None:
            return self._open(self._config.model.dtype, self._quantization)
        if adapter.name not in self._homes:
            base = read_manifest(adapter.folder).base
            engine = self._open(base.dtype, base.quantization)
            engine.load_adapter(adapter.name, adapter.folder)
            self._homes[adapter.name] = engine
        return self._homes[adapter.name]

    def _open(self, dtype: Dtype, quantization: Quantization | None) -> TransformersEngine:
        """The configured base in a precision. A version of another base is refused by the engine."""
        if (dtype, quantization) not in self._engines:
            model = self._config.model.model_copy(update={"dtype": dtype})
            self._engines[dtype, quantization] = open_engine(model, self._workspace, quantization)
        return self._engines[dtype, quantization]

    @property
    def _quantization(self) -> Quantization | None:
        return find_method(self._config.training.method).quantization

    def _answering(self) -> dict[str, Any]:
        settings = self._config.evaluation
        return {"base": self._base(), "max_new_tokens": settings.max_new_tokens, "batch_size": settings.batch_size}

    def _base(self) -> dict[str, str]:
        identity = identify_base(self._config.model, self._workspace, self._quantization)
        content: dict[str, str] = identity.model_dump(include={"digest", "dtype", "quantization"})
        return content
