"""The training child as a real process on a tiny model: it learns, ends when asked, comes back after kill -9, and hides nothing."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline_config.errors import TrainingError
from pipeline_config.model import ModelConfig
from pipeline_config.training import TrainingConfig
from tasks.artifacts import Record, TrainedModel
from tasks.chat import encode_text
from tasks.engine import open_engine
from tasks.manifest import read_manifest
from tasks.methods.settings import settle
from tasks.models import load_tokenizer
from tasks.rows import Message, Row, messages_digest, to_messages, write_rows
from tasks.train.events import Finished, Interrupted, Note, Started, Step, TrainingRequest, Validated
from tasks.train.train import train
from tests.builders import tiny_base

LABELS = ("network", "hardware", "access", "billing")


def rows(count: int, start: int = 0) -> list[Row]:
    made: list[Row] = []
    for index in range(start, start + count):
        label = LABELS[index % len(LABELS)]
        messages = to_messages("Route this ticket.", f"{label} trouble number {index}", label)
        made.append({"row_id": f"r{index}", "digest": messages_digest(messages), "group": f"g{index}", "messages": messages})
    return made


def conversations(count: int, start: int = 0) -> list[Row]:
    """Chats of two answers, where the trouble is network or access, and plain ones elsewhere."""
    made = rows(count, start)
    for row in made[::2]:
        opening, asked, answer = row["messages"]
        again: list[Message] = [{"role": "assistant", "content": "since when please"}, {"role": "user", "content": "the new laptop"}]
        row["messages"] = [opening, asked, *again, answer]
    return made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelConfig, Path]:
    root = tmp_path_factory.mktemp("training")
    config = tiny_base(root / "base")
    (root / "data").mkdir()
    write_rows(root / "data" / "train.parquet", rows(32))
    write_rows(root / "data" / "validation.parquet", rows(8, 100))
    return config, root


def request(tiny: tuple[ModelConfig, Path], folder: Path, **training: object) -> TrainingRequest:
    config, root = tiny
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"epochs": 2, "learning_rate": 1e-2, "lora": {"lora_dropout": 0.0}, **training}
    return TrainingRequest(
        workspace=root, folder=folder, data_folder=root / "data", data_digest="d", instruction="Route this ticket.", labels=LABELS,
        max_new_tokens=8, code_revision=None, model=config, training=settle(TrainingConfig.model_validate(settings)).training,
    )  # fmt: skip


def run(request: TrainingRequest, on_event: Callable[[Record], None] = lambda event: None) -> tuple[TrainedModel, list[Record]]:
    events: list[Record] = []

    def listen(event: Record) -> None:
        events.append(event)
        on_event(event)

    return train(request, dict(os.environ), listen), events


def weights(trained: TrainedModel) -> dict[str, torch.Tensor]:
    return load_file(trained.artifact / "adapter_model.safetensors")


def test_learns_and_reports_every_step(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    trained, events = run(request(tiny, tmp_path, epochs=6, early_stopping_patience=None))
    steps = [event for event in events if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, 25))
    assert steps[-1].loss < steps[0].loss / 2
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert trained.layout == "blocks"
    assert len(trained.curve) == len([event for event in events if isinstance(event, Validated)]) >= 6
    assert trained.shipped_step == min(trained.curve, key=lambda point: point.validation_loss).step


def test_the_artifact_matches_its_manifest_and_names_no_folder_of_this_machine(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    trained, _ = run(request(tiny, tmp_path, epochs=1))
    manifest = read_manifest(trained.artifact)
    assert manifest.digest == trained.artifact_digest
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "train_rows.parquet"} <= manifest.files.keys()
    assert str(tmp_path) not in "".join(path.read_text() for path in trained.artifact.glob("*.json"))


def test_tokens_are_counted_and_the_prompt_carries_no_loss(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    trained, _ = run(request(tiny, tmp_path, epochs=1))
    assert 32 * 2 <= trained.supervised_tokens < trained.total_tokens / 3


def test_every_answer_of_a_chat_is_learnt_and_counted(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    config, _ = tiny
    data = tmp_path / "data"
    data.mkdir()
    write_rows(data / "train.parquet", conversations(32))
    write_rows(data / "validation.parquet", conversations(8, 100))
    asked = request(tiny, tmp_path / "out", epochs=10, early_stopping_patience=None).model_copy(update={"data_folder": data})
    trained, events = run(asked)
    tokenizer = load_tokenizer(config, tmp_path)
    answers = [turn["content"] for row in conversations(32) for turn in row["messages"] if turn["role"] == "assistant"]
    assert len(answers) == 32 + 16
    assert trained.supervised_tokens == 10 * sum(len(encode_text(tokenizer, answer)) for answer in answers)
    assert trained.total_tokens > 3 * trained.supervised_tokens
    losses = [event.loss for event in events if isinstance(event, Step)]
    assert losses[-1] < losses[0] / 2
    engine = open_engine(config, tmp_path)
    engine.load_adapter("trained", trained.artifact)
    earlier = engine.answer([conversations(1, 200)[0]["messages"][:2]], adapter="trained", max_new_tokens=24)[0]
    assert earlier.text == "since when please"


def test_zero_epochs_leave_an_untrained_adapter(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    trained, _ = run(request(tiny, tmp_path, epochs=0))
    assert (trained.steps, trained.shipped_step, trained.curve) == (0, 0, ())
    assert all(not tensor.any() for name, tensor in weights(trained).items() if "lora_B" in name)


def test_stops_early_and_ships_the_best_checkpoint(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    trained, _ = run(request(tiny, tmp_path, epochs=40, learning_rate=0.2, early_stopping_patience=2))
    assert trained.stopped_early
    assert trained.shipped_step == min(trained.curve, key=lambda point: point.validation_loss).step < trained.steps


def test_without_best_checkpoint_the_curve_ends_with_what_ships(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    options = {"epochs": 3, "evals_per_epoch": 3, "load_best_model_at_end": False, "early_stopping_patience": None}
    trained, _ = run(request(tiny, tmp_path, **options))
    assert trained.shipped_step == trained.steps == trained.curve[-1].step


def test_a_diverging_loss_stops_the_run_and_names_step_and_rows(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    config, root = tiny
    poisoned = tmp_path / "base"
    poisoned.mkdir()
    for path in Path(config.name_or_path).iterdir():
        (poisoned / path.name).write_bytes(path.read_bytes())
    tensors = load_file(poisoned / "model.safetensors")
    tensors["model.norm.weight"][0] = float("nan")
    from safetensors.torch import save_file

    save_file(tensors, poisoned / "model.safetensors", metadata={"format": "pt"})
    broken = config.model_copy(update={"name_or_path": str(poisoned)}), root
    with pytest.raises(TrainingError, match=r"the loss is nan at step 1") as caught:
        run(request(broken, tmp_path / "out"))
    assert "rows r" in caught.value.where


def killing(folder: Path, at: int) -> Callable[[Record], None]:
    """Kills the child that trains in a folder when it says that this step is done."""

    def kill(event: Record) -> None:
        if isinstance(event, Step) and event.step == at:
            child = next(int(pid) for pid in os.listdir("/proc") if pid.isdigit() and str(folder) in _command_line(pid))
            os.kill(child, signal.SIGKILL)

    return kill


def test_a_killed_run_goes_on_as_if_it_had_not_been(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    """In the middle of an epoch, between two checkpoints, with dropout, accumulation and early stopping that has begun to lose patience."""
    data = tmp_path / "data"
    data.mkdir()
    write_rows(data / "train.parquet", rows(38))
    write_rows(data / "validation.parquet", rows(8, 100))

    def asked(name: str) -> TrainingRequest:
        settings = {
            "epochs": 16, "learning_rate": 1.0, "lr_scheduler_type": "constant", "lora": {"lora_dropout": 0.2}, "evals_per_epoch": 2,
            "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "early_stopping_patience": 3,
        }  # fmt: skip
        return request(tiny, tmp_path / name, **settings).model_copy(update={"data_folder": data})

    whole, whole_events = run(asked("whole"))
    # Ten steps an epoch, a checkpoint each five.
    assert whole.stopped_early
    at = whole.steps - 5 - 3
    assert at > whole.shipped_step
    with pytest.raises(TrainingError, match="killed by signal 9"):
        run(asked("killed"), killing(tmp_path / "killed", at))
    resumed, events = run(asked("killed"))
    first = next(event for event in events if isinstance(event, Started)).first_step
    assert 0 < first < at + 5
    assert at % 5
    assert (resumed.steps, resumed.shipped_step, resumed.curve) == (whole.steps, whole.shipped_step, whole.curve)
    assert (resumed.supervised_tokens, resumed.total_tokens) == (whole.supervised_tokens, whole.total_tokens)
    losses = {event.step: (event.loss, event.grad_norm, event.learning_rate) for event in whole_events if isinstance(event, Step)}
    again = {event.step: (event.loss, event.grad_norm, event.learning_rate) for event in events if isinstance(event, Step)}
    assert len(again) >= 3
    assert again == {step: losses[step] for step in again}
    assert all(torch.equal(weights(resumed)[name], tensor) for name, tensor in weights(whole).items())
    assert any("going on from checkpoint-" in note for note in resumed.notes)


def test_a_half_written_checkpoint_is_passed_over(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        run(request(tiny, tmp_path), killing(tmp_path, 7))
    newest = max((tmp_path / "scratch" / "checkpoints").glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    content = (newest / "optimizer.pt").read_bytes()
    (newest / "optimizer.pt").write_bytes(content[: len(content) // 2])
    trained, events = run(request(tiny, tmp_path))
    first = next(event for event in events if isinstance(event, Started))
    assert first.first_step < int(newest.name.rpartition("-")[2])
    assert f"{newest.name} is not whole and is passed over" in trained.notes


def test_an_exception_in_the_parent_ends_the_child_with_a_checkpoint(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    def interrupt(event: Record) -> None:
        if isinstance(event, Step) and event.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(request(tiny, tmp_path, epochs=200), interrupt)
    assert not any(str(tmp_path) in _command_line(pid) for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid())
    _, events = run(request(tiny, tmp_path, epochs=2))
    assert any(isinstance(event, Note) and "going on from checkpoint-" in event.text for event in events)


def test_the_death_of_the_parent_ends_the_child_with_a_checkpoint(tiny: tuple[ModelConfig, Path], tmp_path: Path) -> None:
    import subprocess
    import sys

    from tasks.train.events import parse

    file = tmp_path / "request.json"
    file.write_text(request(tiny, tmp_path, epochs=500).model_dump_json())
    child = subprocess.Popen(
        [sys.executable, "-m", "tasks.train.child", str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    watchdog = threading.Timer(60, child.kill)
    watchdog.start()
    last = None
    for line in child.stdout:
        last = parse(line) or last
        if isinstance(last, Step) and last.step == 2:
            child.stdin.close()  # what a parent's death does to a pipe
    watchdog.cancel()
    assert child.wait() == 75
    assert isinstance(last, Interrupted)
    assert (tmp_path / "scratch" / "checkpoints" / f"checkpoint-{last.step}").is_dir()


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
