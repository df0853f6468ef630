"""What the base can do in general and the tuned model still can: both take the same exam (`tasks.evaluate.general_exam`).

"Before" is the base itself, in the precision of the tuned model and in the same engine, with no adapter on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import GeneralLosses, RetainedCategory, Retention
from tasks.evaluate.contenders import Adapter, Examiner
from tasks.evaluate.general_exam import BLOCK_TOKENS, GeneralAnswers, GeneralExam, prepare_exam
from tasks.evaluate.perplexity import perplexity_of
from tasks.evaluate.suite import CATEGORIES, Question, suite_digest
from tasks.stages import StageResult

ANSWERED = "retention.parquet"
"""In an evaluation's folder, one row for each general question: what base and tuned hold to be the likeliest answer, and the right one."""


@dataclass(frozen=True)
class BeforeAndAfter:
    """What base and tuned made of the exam."""

    exam: GeneralExam
    base: StageResult[GeneralAnswers]
    tuned: StageResult[GeneralAnswers]

    def parts(self) -> list[StageResult[GeneralAnswers]]:
        """Results that this is made from."""
        return [self.base, self.tuned]

    def keep(self, folder: Path) -> Retention:
        """Writes what was answered into the evaluation's folder, and returns the record."""
        answered_table(self.exam.questions, self.base.value, self.tuned.value).write_parquet(folder / ANSWERED)
        return compare(self.exam, self.base.value, self.tuned.value)


def ask_in_general(examiner: Examiner, config: PipelineConfig, tuned: Adapter) -> BeforeAndAfter | None:
    """Gives base and tuned the exam; null, and nothing is asked, where no gate is of kind `forgetting`."""
    if not any(gate.kind == "forgetting" for gate in config.gates.values()):
        return None
    exam = prepare_exam(config.evaluation.retention_questions, config.evaluation.retention_tokens)
    return BeforeAndAfter(exam, examiner.general(None, exam), examiner.general(tuned, exam))


def compare(exam: GeneralExam, base: GeneralAnswers, tuned: GeneralAnswers) -> Retention:
    """Counts and losses of both."""
    text = exam.text
    losses = None
    if text is not None:
        losses = GeneralLosses(source=text.source, digest=text.digest, block_tokens=BLOCK_TOKENS - 1, base=base.losses, tuned=tuned.losses)
    return Retention(
        suite_digest=suite_digest(exam.questions),
        categories=tuple(_count(category, exam.questions, base.picks, tuned.picks) for category in CATEGORIES),
        unanswered=sum(None in picks for picks in zip(base.picks, tuned.picks, strict=True)),
        text=losses,
    )


def figures_of(retention: Retention) -> dict[str, float]:
    """Shares of right answers and perplexities, under names for the tracking server."""
    figures: dict[str, float] = {}
    for who in ("base", "tuned"):
        right = {part.name: getattr(part, f"{who}_right") / part.questions for part in retention.categories if part.questions}
        figures |= {f"general/{who}/{category}": share for category, share in right.items()}
        losses = getattr(retention.text, who, ())
        perplexity = perplexity_of(sum(losses) / len(losses)) if losses and None not in losses else None
        figures |= {f"general/{who}/perplexity": perplexity} if perplexity is not None else {}
    return figures


def answered_table(questions: Sequence[Question], base: GeneralAnswers, tuned: GeneralAnswers) -> pl.DataFrame:
    """A row for each question: `id`, `category`, `topic`, `question`, `stem`, and the answers `right`, `base` and `tuned`."""

    def answers(given: GeneralAnswers) -> list[str | None]:
        return [None if pick is None else question.choices[pick] for question, pick in zip(questions, given.picks, strict=True)]

    said = {name: [getattr(question, name) for question in questions] for name in ("id", "category", "topic", "question", "stem", "right")}
    columns = {**said, "base": answers(base), "tuned": answers(tuned)}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String()))


def _count(category: str, questions: Sequence[Question], base: Sequence[int | None], tuned: Sequence[int | None]) -> RetainedCategory:
    asked = zip(questions, base, tuned, strict=True)
    pairs = [(before == 0, after == 0) for question, before, after in asked if question.category == category]
    return RetainedCategory(
        name=category,
        questions=len(pairs),
        base_right=sum(before for before, _ in pairs),
        tuned_right=sum(after for _, after in pairs),
        gained=sum(after and not before for before, after in pairs),
        lost=sum(before and not after for before, after in pairs),
    )
