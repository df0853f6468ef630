"""One arm of the low-data comparison: `python -m benchmarks.augment_one ARM SEED full|quick`. An arm is `without` or an operator's name.

Stages are kept in the workspace's store as those of any run: what was finished is reused, a training that was killed goes on.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

from benchmarks.augment_rows import RememberingEmbedder, banking, only, open_one, reword
from benchmarks.methods_one import Size, prepare, train_on
from pipeline_config.augmentation import OperatorName
from pipeline_config.environment import read_machine
from pipeline_config.errors import ConfigError, TunegateError
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import PreparedData, TrainedModel
from tasks.augment.operators import Missing
from tasks.files import read_json, sha256_json, write_json
from tasks.methods.settings import settle
from tasks.revision import code_revision
from tasks.train.steps import ending_after, steps_per_epoch

WITHOUT = "without"
LABELS, ROWS_A_LABEL = 77, 8
RATIO = 2.0
"""Reworded rows wanted for each training row."""
EPOCHS = {Size.FULL: 4, Size.QUICK: 1}
"""The preset's, over the rows without reworded ones; every arm trains for as many steps."""
LOW_DATA_ROWS = {Size.FULL: ROWS_A_LABEL * LABELS, Size.QUICK: LABELS}
_TEST_ROWS = {Size.FULL: None, Size.QUICK: LABELS}
_SECONDS_BETWEEN_LINES = 30.0

Say = Callable[[str], None]


class Measured(TypedDict):
    """How one arm did on the test rows.

    `right` has a 1 for each right answer and a 0 for each other one, `clusters` the number of each row's group, both in the test file's
    order. `seconds` are those of the whole process.
    """

    arm: str
    seed: int
    rows: int
    children: int
    steps: int
    accuracy: float
    right: str
    clusters: list[int]
    seconds: float
    revision: str | None


def configure(seed: int, size: Size) -> PipelineConfig:
    """Eight rows a label of the preset's, its settings, and a seed.

    Raises:
        ConfigError: BANKING77_DIR is not set.
    """
    config = banking(LOW_DATA_ROWS[size], test_rows=_TEST_ROWS[size])
    return config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})})


def result_file(arm: str, seed: int, size: Size, folder: Path) -> Path:
    """Where an arm's result belongs, by the settings that it depends on."""
    settings: dict[str, Any] = configure(seed, size).model_dump(mode="json", include={"data", "model", "training", "evaluation"})
    for location in ("path", "test_path"):
        settings["data"]["source"].pop(location)
    settings["arm"] = None if arm == WITHOUT else only(arm, RATIO).model_dump(mode="json")  # type: ignore[arg-type]  # an operator's name
    settings["epochs"] = EPOCHS[size]
    return folder / f"{arm}-{seed}-{sha256_json(settings)[:12]}.json"


def measured_before(arm: str, seed: int, size: Size, folder: Path) -> Measured | None:
    """An arm's result with the settings as they are now; null if there is none."""
    path = result_file(arm, seed, size, folder)
    measured: Measured | None = read_json(path) if path.is_file() else None
    return measured


def measure(arm: str, seed: int, size: Size, workspace: Path, say: Say) -> Measured:
    """All stages of one arm.

    Raises:
        ConfigError: the operator cannot be had.
        TunegateError: whatever a stage raises.
    """
    began, config = time.monotonic(), configure(seed, size)
    prepared = prepare(config, workspace)
    steps = EPOCHS[size] * steps_per_epoch(prepared.training_rows, settle(config.training).training)
    rows = prepared if arm == WITHOUT else _reworded(arm, config, prepared, workspace, seed)  # type: ignore[arg-type]
    children = rows.augmentation.rows if rows.augmentation is not None else 0
    say(f"{arm} {seed}: {prepared.training_rows} rows and {children} reworded ones, {steps} steps")
    ending = config.model_copy(update={"training": ending_after(config.training, steps, rows.training_rows)})
    trained = train_on(ending, workspace, rows, say)
    right, clusters = _answer(ending, workspace, rows, trained, say)
    return {
        "arm": arm, "seed": seed, "rows": prepared.training_rows, "children": children, "steps": trained.steps,
        "accuracy": sum(right) / len(right), "right": "".join(str(int(one)) for one in right), "clusters": clusters,
        "seconds": time.monotonic() - began, "revision": code_revision(),
    }  # fmt: skip


def _reworded(name: OperatorName, config: PipelineConfig, prepared: PreparedData, workspace: Path, seed: int) -> PreparedData:
    operator = open_one(name, config, workspace)
    if isinstance(operator, Missing):
        raise ConfigError(f"{name} needs {operator.needs}", where=f"arm {name}", hint=operator.command)
    return reword(config, prepared, operator, only(name, RATIO), workspace, RememberingEmbedder(), seed)


def _answer(
    config: PipelineConfig, workspace: Path, prepared: PreparedData, trained: TrainedModel, say: Say
) -> tuple[list[bool], list[int]]:
    """Whether each test row is answered right, and the number of its group."""
    from tasks.evaluate.contenders import Adapter, Examiner, read_questions
    from tasks.evaluate.outcomes import per_row_correct

    due = 0.0

    def on_progress(what: str, done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due or done == total:
            due = time.monotonic() + _SECONDS_BETWEEN_LINES
            say(f"{what}: {done} of {total}")

    questions = read_questions("test rows", prepared.folder / "test.parquet")
    examiner = Examiner(config, workspace, trained.layout, on_progress)
    answers = examiner.answers(Adapter("tuned", trained.artifact, trained.artifact_digest), questions).value
    groups = {group: number for number, group in enumerate(dict.fromkeys(row["group"] for row in questions.rows))}
    return per_row_correct(examiner.expected(questions), answers.texts()), [groups[row["group"]] for row in questions.rows]


def main() -> int:
    """The command line: measures one arm and stores what was found; returns the exit code."""
    arm, seed, size = sys.argv[1], int(sys.argv[2]), Size(sys.argv[3])
    workspace = read_machine().workspace

    def say(text: str) -> None:
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
        sys.stdout.flush()

    try:
        measured = measure(arm, seed, size, workspace, say)
        write_json(result_file(arm, seed, size, workspace / "benchmarks" / "augment"), measured)
    except (TunegateError, ValueError) as error:
        sys.stderr.write(f"{arm} {seed}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
