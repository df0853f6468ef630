"""One small evaluated workspace for the tests of evaluation."""

from dataclasses import dataclass
from pathlib import Path

from pipeline_config.data import DataConfig, SourceConfig
from pipeline_config.evaluation import EvaluationConfig
from pipeline_config.gates import OverfittingGate, ThresholdGate
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, PreparedData, Rival, TrainedModel
from tasks.evaluate.measure import measure
from tasks.stages import StageResult
from tests.builders import make_prepared, make_row, make_trained, tiny_base

QUEUES = ("access", "hardware", "network")
TRAIN = [make_row(f"the laptop number {n} is broken", QUEUES[n % 3]) for n in range(12)]
TEST = [make_row(f"please help, the vpn drops {n} times an hour", QUEUES[n % 3]) for n in range(9)]


@dataclass
class World:
    """One workspace with a base, data and two versions; `said` collects progress lines."""

    folder: Path
    config: PipelineConfig
    prepared: PreparedData
    one: TrainedModel
    two: TrainedModel
    said: list[str]

    def measure(self, trained: TrainedModel, rival: Rival | None = None) -> StageResult[EvaluationResult]:
        self.said.clear()
        return measure(self.config, self.folder, self.prepared, trained, rival, lambda what, done, total: self.said.append(what))

    def rival(self, trained: TrainedModel) -> Rival:
        return Rival(adapter_name="desk-v1", artifact_digest=trained.artifact_digest, folder=trained.artifact, fault=None)


def make_config(base_folder: Path) -> PipelineConfig:
    return PipelineConfig(
        environment="production",
        data=DataConfig(source=SourceConfig(path=Path("unused"))),
        model=tiny_base(base_folder),
        evaluation=EvaluationConfig(max_new_tokens=8, batch_size=4, train_sample_rows=5),
        gates={"min_accuracy": ThresholdGate(threshold=0.5, min_rows=1), "fit": OverfittingGate(kind="overfitting")},
    )


def make_world(folder: Path) -> World:
    config = make_config(folder / "base")
    prepared = make_prepared(folder / "data", TRAIN, TRAIN[:2], TEST)
    # The first version was trained on two of the test rows.
    before = make_prepared(folder / "before", TEST[:1], TEST[1:2], TEST)
    one, two = (make_trained(folder / f"v{s}", config.model, folder, data, seed=s) for s, data in ((1, before), (2, prepared)))
    return World(folder, config, prepared, one, two, [])
