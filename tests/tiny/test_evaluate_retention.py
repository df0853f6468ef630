"""Base and tuned take the same exam in general use, once, and only where a gate asks for it."""

import math
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from pipeline_config.data import DataConfig, SourceConfig
from pipeline_config.evaluation import EvaluationConfig
from pipeline_config.gates import ForgettingGate, GateConfig, OverfittingGate, ThresholdGate
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, PreparedData, TrainedModel
from tasks.batching import PACKED, PADDED, mean_loss
from tasks.chat import encode_plain, encode_prompt
from tasks.engine import open_engine
from tasks.evaluate.general_exam import BLOCK_TOKENS, GeneralAnswers, GeneralExam, likeliest, prepare_exam
from tasks.evaluate.measure import measure
from tasks.evaluate.retention import ANSWERED, compare
from tasks.evaluate.suite import read_suite
from tasks.stages import StageResult
from tests.builders import make_prepared, make_row, make_trained, tiny_base

QUEUES = ("access", "hardware", "network")
ROWS = [make_row(f"the laptop number {n} is broken", QUEUES[n % 3]) for n in range(12)]
QUESTIONS, TOKENS = 12, 600
FORGETTING = ForgettingGate(kind="forgetting", min_questions=QUESTIONS)


@dataclass
class World:
    """A workspace in which nothing was answered yet; `said` collects what was asked."""

    folder: Path
    config: PipelineConfig
    prepared: PreparedData
    trained: TrainedModel
    said: list[str]

    def measure(self, trained: TrainedModel | None = None) -> StageResult[EvaluationResult]:
        self.said.clear()
        version = trained or self.trained
        return measure(self.config, self.folder, self.prepared, version, None, lambda what, done, total: self.said.append(what))

    def exam(self) -> GeneralExam:
        return prepare_exam(QUESTIONS, TOKENS)


def gates(*more: GateConfig) -> dict[str, GateConfig]:
    chosen = [ThresholdGate(threshold=0.5, min_rows=1), OverfittingGate(kind="overfitting"), *more]
    return {gate.kind: gate for gate in chosen}


@pytest.fixture
def world(tmp_path: Path) -> World:
    config = PipelineConfig(
        environment="production", data=DataConfig(source=SourceConfig(path=Path("unused"))), model=tiny_base(tmp_path / "base"),
        evaluation=EvaluationConfig(
            max_new_tokens=2, train_sample_rows=2, retention_questions=QUESTIONS, retention_tokens=TOKENS, metrics=("accuracy",)
        ),
        gates=gates(FORGETTING),
    )  # fmt: skip
    prepared = make_prepared(tmp_path / "data", ROWS, ROWS[:2], ROWS)
    return World(tmp_path, config, prepared, make_trained(tmp_path / "v1", config.model, tmp_path, prepared, seed=1), [])


def test_base_and_tuned_are_asked_and_counted(world: World) -> None:
    result = world.measure().value
    retention, exam = result.retention, world.exam()
    assert retention is not None
    assert retention.questions == QUESTIONS
    answered = pl.read_parquet(result.folder / ANSWERED)
    assert answered["id"].to_list() == [question.id for question in exam.questions]
    engine = open_engine(world.config.model, world.folder)
    engine.load_adapter("v1", world.trained.artifact)
    for name, adapter in (("base", None), ("tuned", "v1")):
        with engine.active(adapter) as model:
            alone = exam.put_to(model, engine.base.tokenizer, PADDED)
        assert answered[name].to_list() == [question.choices[pick or 0] for question, pick in zip(exam.questions, alone.picks, strict=True)]
        right = int((answered[name] == answered["right"]).sum())
        assert sum(getattr(category, f"{name}_right") for category in retention.categories) == right
    assert answered["base"].to_list() != answered["tuned"].to_list(), "this version answers like the base and proves nothing"


def test_the_text_is_read_in_blocks_by_both(world: World) -> None:
    retention, exam = world.measure().value.retention, world.exam()
    assert retention is not None
    assert retention.text is not None
    assert retention.text.tokens == math.ceil(TOKENS / (BLOCK_TOKENS - 1)) * (BLOCK_TOKENS - 1) >= TOKENS
    engine = open_engine(world.config.model, world.folder)
    blocks = exam.blocks(engine.base.tokenizer)
    engine.load_adapter("v1", world.trained.artifact)
    for adapter, losses in ((None, retention.text.base), ("v1", retention.text.tuned)):
        with engine.active(adapter) as model:
            wanted = [mean_loss(PADDED, model, [block], rows_per_batch=1, pad_id=0) for block in blocks]
        assert losses == pytest.approx(wanted, rel=1e-4)
    assert retention.text.base != retention.text.tuned


def test_the_instruction_is_left_out(world: World) -> None:
    from tasks.evaluate.general_exam import encode_question

    tokenizer = open_engine(world.config.model, world.folder).base.tokenizer
    question = next(question for question in read_suite() if question.stem)
    ids = encode_question(tokenizer, question)
    asked = encode_prompt(tokenizer, [{"role": "user", "content": question.question}])
    assert ids.prompt_ids == [*asked, *encode_plain(tokenizer, question.stem)]
    assert ids.choices[0] == encode_plain(tokenizer, f" {question.right}")


def test_the_base_is_asked_once_for_all_versions(world: World) -> None:
    world.measure()
    assert [what for what in world.said if "general use" in what] == ["base in general use", "tuned in general use"]
    other = make_trained(world.folder / "v2", world.config.model, world.folder, world.prepared, seed=2)
    world.measure(other)
    assert [what for what in world.said if "general use" in what] == ["tuned in general use"]
    assert world.measure(other).reused


def test_nobody_is_asked_where_no_gate_wants_to_know(world: World) -> None:
    world.config = world.config.model_copy(update={"gates": gates()})
    result = world.measure().value
    assert result.retention is None
    assert not (result.folder / ANSWERED).exists()
    assert not any("general use" in what for what in world.said)


def test_packed_and_padded_rows_agree(world: World) -> None:
    exam, engine = world.exam(), open_engine(world.config.model, world.folder)
    with engine.active(None) as model:
        packed, padded = (exam.put_to(model, engine.base.tokenizer, layout) for layout in (PACKED, PADDED))
    assert packed.picks == padded.picks
    assert packed.losses == pytest.approx(padded.losses, rel=1e-4)


def test_counts_come_from_pairs() -> None:
    questions = read_suite()[:4]
    exam = GeneralExam(tuple(questions), None, 1)
    found = compare(exam, GeneralAnswers(picks=(0, 0, 1, None), losses=()), GeneralAnswers(picks=(0, 2, 0, 0), losses=()))
    knowledge = found.categories[0]
    assert (knowledge.questions, knowledge.base_right, knowledge.tuned_right) == (4, 2, 3)
    assert (knowledge.gained, knowledge.lost, found.unanswered) == (2, 1, 1)
    assert found.text is None


def test_the_likeliest_answer_is_that_with_the_least_loss_for_its_length() -> None:
    question = read_suite()[0].model_copy(update={"right": "a longer answer", "wrong": ("short", "other", "third")})
    assert likeliest(question, [6.0, 3.0, 5.0, 5.0]) == 0
    assert likeliest(question, [12.0, 3.0, 5.0, 5.0]) == 1
    assert likeliest(question, [9.0, 3.0, 5.0, 5.0]) == 1, "a tie is not right"
    assert likeliest(question, [1.0, math.nan, 5.0, 5.0]) is None
