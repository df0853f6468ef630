"""What one optimizer step does, in this process, on a tiny random model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from pipeline_config.errors import TrainingError
from pipeline_config.training import LoraSettings, TrainingConfig
from tasks.batching import BLOCKS, PACKED, PADDED, Layout, choose_layout, mean_loss
from tasks.chat import EncodedRow
from tasks.methods import METHODS
from tasks.methods.settings import settle
from tasks.models import load_base
from tasks.train.precision import forward_precision, hold_in_fp32
from tasks.train.sampling import order_for
from tasks.train.trainer import CompletionTrainer, SealCheckpoints, curve_of, stopping_callbacks, tokens_of, trainer_arguments
from tests.builders import tiny_base

POISON = 7
"""A token that only the rows that a test chooses have."""


def row(number: int, *, answer: int = 3, poisoned: bool = False) -> EncodedRow:
    """A row of its own length, whose answer has `answer` tokens."""
    middle = [POISON] if poisoned else [60 + number]
    prompt = [50, 51, 52, *middle, *range(100, 104 + number % 5)]
    completion = [150 + (number + place) % 40 for place in range(answer)]
    return {"row_id": f"r{number}", "prompt_ids": prompt, "completion_ids": completion, "supervised": [True] * answer}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Any]:
    folder = tmp_path_factory.mktemp("base")
    config = tiny_base(folder)
    return lambda: load_base(config, folder).model


class Gradients(TrainerCallback):
    """Keeps the gradients that the optimizer is about to see."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.seen.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})


def lora(model: Any, dropout: float = 0.0) -> Any:
    torch.manual_seed(1)
    settings = TrainingConfig(lora=LoraSettings(r=4, lora_dropout=dropout))
    adapted = METHODS["lora"].attach(model, settings)
    for name, weights in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    return adapted


def whole(model: Any) -> Any:
    """All of a model, to be trained as full fine-tuning does."""
    return model.requires_grad_(True)


def make_trainer(
    model: Any, rows: list[EncodedRow], folder: Path, *, layout: Layout = BLOCKS, dtype: str = "float32",
    callbacks: tuple[TrainerCallback, ...] = (), **training: Any,
) -> CompletionTrainer:  # fmt: skip
    given = {"epochs": 1, "learning_rate": 1e-2, "warmup_steps": 0, "max_grad_norm": 1e6, **training}
    settings = settle(TrainingConfig.model_validate(given)).training
    arguments = trainer_arguments(settings, folder, len(rows), "adamw_torch")
    order = order_for(layout.name, arguments, rows, training.get("train_sampling_strategy"))
    return CompletionTrainer(
        layout=layout, pad_id=0, precision=forward_precision(model, dtype), order=order, model=model, args=arguments, train_dataset=rows,
        eval_dataset=rows[:4],
        callbacks=[SealCheckpoints(), *stopping_callbacks(settings), *callbacks],
    )  # fmt: skip


def step_losses(trainer: CompletionTrainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


UNEVEN = [row(number, answer=1 if number < 6 else 12) for number in range(8)]


@pytest.mark.parametrize("layout", [BLOCKS, PADDED], ids=lambda layout: layout.name)
@pytest.mark.parametrize(("size", "parts"), [(4, 2), (2, 4), (1, 8), (3, 3)])
def test_micro_batches_equal_one_big_batch(base: Callable[[], Any], tmp_path: Path, layout: Layout, size: int, parts: int) -> None:
    results = []
    for batch, accumulation in ((8, 1), (size, parts)):
        gradients, model = Gradients(), lora(base())
        sizes = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
        trainer = make_trainer(model, UNEVEN, tmp_path / f"{batch}", layout=layout, callbacks=(gradients,), **sizes)
        trainer.train()
        weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        [gradient], [loss] = gradients.seen, step_losses(trainer)
        results.append((loss, gradient, weights))
    (loss, gradient, weights), (parts_loss, parts_gradient, parts_weights) = results
    assert parts_loss == pytest.approx(loss, rel=1e-4)
    for name, whole_gradient in gradient.items():
        torch.testing.assert_close(parts_gradient[name], whole_gradient, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(parts_weights[name], weights[name], rtol=1e-4, atol=1e-5)


def test_the_loss_of_a_step_is_a_mean_over_tokens_not_over_rows(base: Callable[[], Any], tmp_path: Path) -> None:
    model = lora(base())
    over_tokens = mean_loss(PADDED, model, UNEVEN, rows_per_batch=8, pad_id=0)
    over_rows = sum(mean_loss(PADDED, model, [one], rows_per_batch=1, pad_id=0) for one in UNEVEN) / 8
    trainer = make_trainer(model, UNEVEN, tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    trainer.train()
    assert step_losses(trainer) == [pytest.approx(over_tokens, rel=1e-5)]
    assert abs(over_rows - over_tokens) > 1e-2


def test_validation_loss_does_not_depend_on_the_batches(base: Callable[[], Any], tmp_path: Path) -> None:
    trainer = make_trainer(lora(base()), UNEVEN, tmp_path, per_device_train_batch_size=1)
    trainer.eval_dataset = UNEVEN
    losses = []
    for size in (1, 3, 8):
        trainer.args.per_device_eval_batch_size = size
        losses.append(trainer.evaluate()["eval_loss"])
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


def moved(before: dict[str, torch.Tensor], model: Any) -> float:
    """Share of the layers' weights that are not what they were."""
    pairs = [(before[name], p) for name, p in model.named_parameters() if "proj" in name]
    return sum((old != new).sum().item() for old, new in pairs) / sum(old.numel() for old, _ in pairs)


@pytest.mark.parametrize("masters", [True, False])
def test_full_fine_tuning_moves_at_a_rate_of_1e_5_because_of_fp32_masters(base: Callable[[], Any], tmp_path: Path, masters: bool) -> None:
    model = whole(base().bfloat16())
    if masters:
        hold_in_fp32(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    options = {"learning_rate": 1e-5, "lr_scheduler_type": "constant", "epochs": 3, "evals_per_epoch": 1}
    trainer = make_trainer(model, UNEVEN, tmp_path, dtype="bfloat16", per_device_train_batch_size=4, **options)
    trainer.train()
    assert trainer.state.global_step == 6
    if masters:
        assert moved(before, model) > 0.98
    else:
        assert moved(before, model) < 0.05


def test_fp32_masters_of_a_whole_model_compute_in_the_bases_precision(base: Callable[[], Any], tmp_path: Path) -> None:
    model = whole(base().bfloat16())
    hold_in_fp32(model)
    seen: list[torch.dtype] = []
    model.model.layers[0].mlp.up_proj.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    trainer = make_trainer(model, UNEVEN, tmp_path, dtype="bfloat16", per_device_train_batch_size=4)
    validation = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert len(seen) >= 4
    assert set(seen) == {torch.bfloat16}
    assert all(p.dtype == torch.float32 for p in model.parameters())
    fresh = whole(base().bfloat16())
    hold_in_fp32(fresh)
    exact = mean_loss(BLOCKS, fresh, trainer.eval_dataset, rows_per_batch=16, pad_id=0)
    assert validation != exact
    assert validation == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("layout", [BLOCKS, PACKED, PADDED], ids=lambda layout: layout.name)
def test_autocast_gives_every_layout_the_same_loss(base: Callable[[], Any], layout: Layout) -> None:
    model = whole(base().bfloat16())
    hold_in_fp32(model)
    with forward_precision(model, "bfloat16")():
        padded, loss = (mean_loss(one, model, UNEVEN, rows_per_batch=8, pad_id=0) for one in (PADDED, layout))
    assert loss == pytest.approx(padded, rel=1e-2)


def test_adapters_are_held_in_fp32_beside_a_rounded_base_that_stays_rounded(base: Callable[[], Any]) -> None:
    model = lora(base().bfloat16())
    for weights in model.parameters():
        weights.data = weights.data.bfloat16()
    hold_in_fp32(model)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_bottleneck_adapters_are_trained_on_a_base_in_4_bits(tmp_path: Path, dtype: str) -> None:
    config = tiny_base(tmp_path / "base").model_copy(update={"dtype": dtype})
    torch.manual_seed(1)
    model = METHODS["adapter"].attach(load_base(config, tmp_path, "nf4").model, TrainingConfig(method="adapter"))
    hold_in_fp32(model)
    before = {name: weights.detach().clone() for name, weights in model.named_parameters()}
    assert any(weights.dtype == torch.uint8 for weights in before.values())
    assert choose_layout(model, UNEVEN[:4], 0, tolerance=1e-5 if dtype == "float32" else 1e-2).layout is BLOCKS
    trainer = make_trainer(model, UNEVEN, tmp_path / "run", dtype=dtype, method="adapter", epochs=4, per_device_train_batch_size=4)
    trainer.train()
    losses = step_losses(trainer)
    assert losses[-1] < 0.9 * losses[0]
    for name, weights in model.named_parameters():
        assert torch.equal(weights, before[name]) != name.startswith("sets."), name


def test_tied_weights_stay_tied(base: Callable[[], Any]) -> None:
    model = whole(base().bfloat16())
    model.lm_head.weight = model.model.embed_tokens.weight
    hold_in_fp32(model)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.lm_head.weight.dtype == torch.float32


@pytest.mark.parametrize("layout", [BLOCKS, PACKED, PADDED], ids=lambda layout: layout.name)
def test_rows_that_make_the_loss_nan_are_named_and_no_others(base: Callable[[], Any], tmp_path: Path, layout: Layout) -> None:
    model = base()
    with torch.no_grad():
        model.model.embed_tokens.weight[POISON] = float("nan")
    rows = [row(number, poisoned=number in (9, 13)) for number in range(16)]
    trainer = make_trainer(lora(model), rows, tmp_path, layout=layout, per_device_train_batch_size=16)
    with pytest.raises(TrainingError, match="the loss is nan at step 1") as caught:
        trainer.train()
    assert caught.value.where.startswith("rows r9, r13: 2 of the step's 16 rows")


def test_rows_that_make_the_gradient_overflow_are_named_over_all_micro_batches(base: Callable[[], Any], tmp_path: Path) -> None:
    model = lora(base())
    poisoned: list[torch.Tensor] = []

    def look(module: Any, inputs: Any) -> None:
        poisoned[:] = [inputs[0] == POISON]

    def overflow(module: Any, inputs: Any, output: torch.Tensor) -> None:
        if poisoned[0].any() and output.requires_grad:
            output.register_hook(lambda gradient: gradient * float("inf"))

    model.get_base_model().model.embed_tokens.register_forward_pre_hook(look)
    model.get_base_model().model.layers[1].register_forward_hook(overflow)
    rows = [row(number, poisoned=number == 11) for number in range(16)]
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainer = make_trainer(model, rows, tmp_path, per_device_train_batch_size=4, gradient_accumulation_steps=4)
    with pytest.raises(TrainingError, match=r"the gradient's norm is (nan|inf) at step 1") as caught:
        trainer.train()
    assert caught.value.where.startswith("rows r11: 1 of the step's 16 rows")
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_model_that_answers_no_row_is_not_blamed_on_the_rows(base: Callable[[], Any], tmp_path: Path) -> None:
    model = base()
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    trainer = make_trainer(lora(model), UNEVEN, tmp_path)
    with pytest.raises(TrainingError) as caught:
        trainer.train()
    assert caught.value.where.endswith("all rows of the step")
    assert "learning_rate" in caught.value.hint


def test_a_nan_in_validation_names_its_rows(base: Callable[[], Any], tmp_path: Path) -> None:
    model = base()
    with torch.no_grad():
        model.model.embed_tokens.weight[POISON] = float("nan")
    trainer = make_trainer(lora(model), UNEVEN, tmp_path)
    trainer.eval_dataset = [row(1), row(2, poisoned=True), row(3)]
    with pytest.raises(TrainingError, match="the validation loss is nan") as caught:
        trainer.evaluate()
    assert caught.value.where.startswith("rows r2:")


def test_a_checkpoint_holds_what_is_trained_and_brings_it_back(base: Callable[[], Any], tmp_path: Path) -> None:
    model = lora(base())
    trainer = make_trainer(model, UNEVEN, tmp_path, per_device_train_batch_size=4, evals_per_epoch=2)
    trainer.train()
    stored = load_file(tmp_path / "checkpoint-2" / "trained.safetensors")
    trained = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    assert stored.keys() == trained.keys()
    assert not (tmp_path / "checkpoint-2" / "model.safetensors").exists()
    trainer._load_from_checkpoint(str(tmp_path / "checkpoint-1"))
    assert any(not torch.equal(p, trained[name]) for name, p in model.named_parameters() if name in trained)
    trainer._load_from_checkpoint(str(tmp_path / "checkpoint-2"))
    assert all(torch.equal(p, trained[name]) for name, p in model.named_parameters() if name in trained)


def test_the_best_checkpoint_is_in_the_model_at_the_end(base: Callable[[], Any], tmp_path: Path) -> None:
    model = lora(base())
    trainer = make_trainer(model, UNEVEN, tmp_path, epochs=40, learning_rate=0.3, early_stopping_patience=2, evals_per_epoch=1)
    trainer.eval_dataset = [row(number) for number in range(20, 24)]
    trainer.train()
    curve = curve_of(trainer.state.log_history)
    best = min(curve, key=lambda point: point.validation_loss)
    assert 0 < best.step < curve[-1].step < 40
    assert trainer.evaluate()["eval_loss"] == pytest.approx(best.validation_loss, rel=1e-6)


def test_a_run_that_had_stopped_early_is_not_trained_further(base: Callable[[], Any], tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 40, "learning_rate": 0.3, "early_stopping_patience": 2, "evals_per_epoch": 1}
    held_out = [row(number) for number in range(20, 24)]
    model = lora(base())
    trainer = make_trainer(model, UNEVEN, tmp_path, **options)
    trainer.eval_dataset = held_out
    trainer.train()
    ended = trainer.state.global_step
    again = lora(base())
    resumed = make_trainer(again, UNEVEN, tmp_path, **options)
    assert resumed.take_up_if_ended(tmp_path / f"checkpoint-{ended}")
    assert resumed.state.global_step == ended
    assert curve_of(resumed.state.log_history) == curve_of(trainer.state.log_history)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    other = make_trainer(lora(base()), UNEVEN, tmp_path, **options)
    best = trainer.state.best_model_checkpoint
    assert best is not None
    assert not other.take_up_if_ended(Path(best))


def test_tokens_are_counted_row_by_row_over_a_stop_and_a_resumption(base: Callable[[], Any], tmp_path: Path) -> None:
    model = lora(base())
    options: dict[str, Any] = {"per_device_train_batch_size": 3, "evals_per_epoch": 3, "epochs": 2, "early_stopping_patience": None}
    make_trainer(model, UNEVEN, tmp_path, **options, callbacks=(StopAfter(4),)).train()
    resumed = make_trainer(lora(base()), UNEVEN, tmp_path, **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    tokens = sum(len(one["prompt_ids"]) + len(one["completion_ids"]) for one in UNEVEN)
    assert tokens_of(resumed.state.log_history) == (2 * tokens, 2 * sum(len(one["completion_ids"]) for one in UNEVEN))


def seen_by(trainer: CompletionTrainer) -> list[list[str]]:
    """Makes a trainer note down the rows of each batch, in the order that they are trained on."""
    batches: list[list[str]] = []
    trainer.data_collator = lambda rows: batches.append([one["row_id"] for one in rows]) or trainer._collate(rows)
    return batches


def test_rows_come_in_another_order_in_each_epoch_and_a_resumed_run_sees_the_same(base: Callable[[], Any], tmp_path: Path) -> None:
    rows = [row(number, answer=1 + number % 7) for number in range(22)]
    options: dict[str, Any] = {
        "per_device_train_batch_size": 3, "gradient_accumulation_steps": 2, "evals_per_epoch": 4, "epochs": 3,
        "early_stopping_patience": None, "load_best_model_at_end": False, "learning_rate": 1e-3,
    }  # fmt: skip
    trainer = make_trainer(lora(base()), rows, tmp_path / "whole", **options)
    whole_run = seen_by(trainer)
    trainer.train()
    assert len(whole_run) == 3 * 8
    epochs = [whole_run[start : start + 8] for start in (0, 8, 16)]
    for epoch in epochs:
        assert sorted(one for batch in epoch for one in batch) == sorted(one["row_id"] for one in rows)
    assert epochs[0] != epochs[1] != epochs[2]
    make_trainer(lora(base()), rows, tmp_path / "cut", **options, callbacks=(StopAfter(6),)).train()
    resumed = make_trainer(lora(base()), rows, tmp_path / "cut", **options)
    rest = seen_by(resumed)
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-6"))
    trained_on = rest[-(24 - 12) :]
    assert trained_on == whole_run[12:]


def tokens_of_steps(trainer: CompletionTrainer) -> list[float]:
    return [entry["tokens"] for entry in trainer.state.log_history if "tokens" in entry]


def test_steps_of_a_packed_run_have_about_the_same_number_of_tokens(base: Callable[[], Any], tmp_path: Path) -> None:
    rows = [row(number, answer=1 + 3 * (number % 9)) for number in range(36)]
    trainer = make_trainer(lora(base()), rows, tmp_path, per_device_train_batch_size=6, evals_per_epoch=1)
    trainer.train()
    tokens = tokens_of_steps(trainer)
    assert len(tokens) == 6
    assert max(tokens) / min(tokens) < 1.1


def test_padded_batches_hold_rows_of_like_length(base: Callable[[], Any], tmp_path: Path) -> None:
    rows = [row(number, answer=1 + 3 * (number % 9)) for number in range(36)]
    trainer = make_trainer(lora(base()), rows, tmp_path, layout=PADDED, per_device_train_batch_size=4, evals_per_epoch=1)
    batches = seen_by(trainer)
    trainer.train()
    lengths = {one["row_id"]: len(one["prompt_ids"]) + len(one["completion_ids"]) for one in rows}
    spreads = [max(lengths[name] for name in batch) - min(lengths[name] for name in batch) for batch in batches]
    assert len(batches) == 9
    assert max(spreads) <= 6 < max(lengths.values()) - min(lengths.values())


def test_an_order_that_somebody_asked_for_is_kept(base: Callable[[], Any], tmp_path: Path) -> None:
    rows = [row(number) for number in range(12)]
    trainer = make_trainer(lora(base()), rows, tmp_path, per_device_train_batch_size=4, train_sampling_strategy="sequential")
    batches = seen_by(trainer)
    trainer.train()
    assert [name for batch in batches for name in batch] == [one["row_id"] for one in rows]


def test_fields_of_trainer_and_the_optimizer_reach_it(base: Callable[[], Any], tmp_path: Path) -> None:
    trainer = make_trainer(lora(base()), UNEVEN, tmp_path, adam_beta2=0.95, per_device_eval_batch_size=5, data_seed=3)
    assert (trainer.args.adam_beta2, trainer.args.per_device_eval_batch_size, trainer.args.data_seed) == (0.95, 5, 3)
    assert trainer.args.optim == "adamw_torch"


def test_early_stopping_and_the_best_checkpoint_are_on_by_default(base: Callable[[], Any], tmp_path: Path) -> None:
    trainer = make_trainer(lora(base()), UNEVEN, tmp_path)
    assert trainer.args.load_best_model_at_end
    assert (trainer.args.metric_for_best_model, trainer.args.greater_is_better) == ("eval_loss", False)
    assert [type(one).__name__ for one in stopping_callbacks(settle(TrainingConfig()).training)] == ["EarlyStoppingCallback"]


class StopAfter(TrainerCallback):
    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = state.global_step >= self._step


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
