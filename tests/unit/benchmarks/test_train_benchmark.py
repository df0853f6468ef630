"""The parts of the benchmark of training that are no measurement."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks import train_llamafactory, train_trl
from benchmarks.results import Peer, judge
from benchmarks.train import BARS, CONTENDERS, PADDED, Run, best_peer, build_result, figures_of, own_figures, require_fairness
from benchmarks.train_clock import Clock, count_supervised, peak_resident, shared_tokens
from benchmarks.train_gemm import Rate, weights_of
from benchmarks.train_job import ALONE, OURS, Job, Training, read_job
from benchmarks.train_ours import HidePrefix
from benchmarks.train_profile import AUTOGRAD, BETWEEN, REST, Profile, by_kind, kind_of, render
from benchmarks.train_rows import Plan, as_texts, count_sequences, draw, find_capacity
from pipeline_config.errors import DataError, EvaluationError
from tasks.batching import common_prefix_length
from tasks.chat import EncodedRow, encode_row
from tests.builders import make_row, tiny_tokenizer

_GIB = 2**30
PLAN: Plan = {"base": "b", "rows": 160, "tokens": 1000, "supervised_tokens": 90, "prefix_tokens": 31, "capacity": 487}
RULES = {
    "learning_rate": 2e-4, "lr_scheduler_type": "cosine", "warmup_steps": 0.03, "weight_decay": 0.01, "max_grad_norm": 1.0,
    "optim": "adamw_torch_fused", "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8, "num_train_epochs": 1,
    "gradient_accumulation_steps": 1, "seed": 0,
}  # fmt: skip
BY_NAME = {contender.name: contender for contender in CONTENDERS}


def training(seconds: float = 10.0, *, gib: float = 2.0, prefix: int = 0, **changes: Any) -> Training:
    values = {
        "seconds": seconds, "steps": 20, "peak_bytes": int(gib * _GIB), "supervised_tokens": 90, "prefix_tokens": prefix,
        "trainable_dtype": "torch.float32", "rules": RULES, "adapter": "a", "version": "v",
    }  # fmt: skip
    return cast(Training, values | changes)


def runs(seconds: float, *, gib: float = 2.0, loss: float = 1.0) -> list[Run]:
    """Three, of which the one in the middle counts."""
    return [{"training": training(seconds * share, gib=gib * share), "heldout_loss": loss * share} for share in (5.0, 1.0, 0.9)]


def all_runs() -> dict[str, list[Run]]:
    found = {name: runs(20.0, gib=4.0, loss=1.2) for name in BY_NAME}
    found[OURS], found[ALONE] = runs(2.0, gib=1.5, loss=1.0), runs(4.0, gib=1.8, loss=1.0)
    found[PADDED] = runs(25.0, gib=2.0, loss=0.8)
    found["llama-factory packed"] = runs(8.0, gib=3.0, loss=1.1)
    return found


RATES: list[Rate] = [{"flops": flops, "shape": (512, 576, 1536), "weights": 100} for flops in (1e6, 2e5, 4e5)]


def test_figures_are_ratios_of_medians_and_every_bar_has_one() -> None:
    result = build_result(PLAN, all_runs(), RATES)

    figures = result["figures"]
    assert {bar.figure for bar in BARS} <= figures.keys()
    assert figures["tokens_per_s"] == 500
    assert figures["tokens_per_s_vs_trl_padded"] == pytest.approx(12.5)
    assert figures["tokens_per_s_vs_best_peer"] == pytest.approx(4)
    assert figures["no_shared_prefix_vs_best_peer"] == pytest.approx(2)
    assert figures["gemm_utilisation"] == pytest.approx(4 * 100 * 250 / 4e5)


def test_memory_is_compared_with_the_fastest_setting_and_loss_with_the_lowest_of_all() -> None:
    figures = build_result(PLAN, all_runs(), RATES)["figures"]

    assert figures["peak_memory_vs_best_peer"] == pytest.approx(0.5)
    assert figures["heldout_loss_vs_peer"] == pytest.approx(1.25)


def test_a_peer_that_is_as_fast_fails_the_bar() -> None:
    found = all_runs() | {"trl packed": runs(2.0)}

    judged = {bar["figure"]: bar["holds"] for bar in build_result(PLAN, found, RATES)["bars"]}

    assert not judged["tokens_per_s_vs_best_peer"]
    assert judged["tokens_per_s_vs_trl_padded"]


def test_the_result_names_the_fastest_setting_and_keeps_every_peers_figures() -> None:
    result = build_result(PLAN, all_runs(), RATES)

    assert result["notes"][-1].startswith("The fastest peer setting: llama-factory packed.")
    assert set(result["peers"]) == {name for name, contender in BY_NAME.items() if contender.peer}
    assert result["peers"]["trl packed"]["figures"] == {"tokens_per_s": 50.0, "peak_gib": 4.0, "heldout_loss": 1.2, "steps": 20.0}


def test_figures_need_no_more_than_their_parts() -> None:
    peers: dict[str, Peer] = {
        name: {"version": "v", "figures": own_figures(PLAN, found)} for name, found in all_runs().items() if name not in (OURS, ALONE)
    }

    assert best_peer(peers) == "llama-factory packed"
    assert all(bar["value"] is not None for bar in judge(BARS, figures_of(PLAN, all_runs(), RATES, peers)))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        (OURS, training(prefix=0)),
        (ALONE, training(prefix=31)),
        ("trl packed", training(supervised_tokens=89)),
        ("trl packed", training(rules=RULES | {"learning_rate": 2e-5})),
        ("llama-factory padded", training(rules={name: value for name, value in RULES.items() if name != "optim"})),
    ],
)
def test_other_rules_tokens_or_prefix_are_refused(name: str, given: Training) -> None:
    with pytest.raises(EvaluationError, match="and not"):
        require_fairness(PLAN, BY_NAME[name], given)


def test_the_same_rules_and_tokens_are_accepted() -> None:
    require_fairness(PLAN, BY_NAME[OURS], training(prefix=31))
    for name in BY_NAME.keys() - {OURS}:
        require_fairness(PLAN, BY_NAME[name], training())


def test_every_setting_of_a_peer_takes_part() -> None:
    assert train_trl.SETTINGS.keys() | train_llamafactory.SETTINGS.keys() | {OURS, ALONE} == BY_NAME.keys()
    assert PADDED in train_trl.SETTINGS


def encoded(*texts: str) -> list[EncodedRow]:
    tokenizer = tiny_tokenizer()
    return [encode_row(tokenizer, make_row(text, "vpn")) for text in texts]


def whole(row: EncodedRow) -> tuple[list[int], list[bool]]:
    return [*row["prompt_ids"], *row["completion_ids"]], [*([False] * len(row["prompt_ids"])), *row["supervised"]]


def test_hiding_the_prefix_changes_neither_tokens_nor_loss() -> None:
    rows = encoded("the vpn drops", "paper jam")
    before = [whole(row) for row in rows]
    assert shared_tokens(rows) > 10

    HidePrefix().on_train_begin(None, None, None, train_dataloader=SimpleNamespace(dataset=rows))

    assert [whole(row) for row in rows] == before
    assert shared_tokens(rows) == common_prefix_length([row["prompt_ids"] for row in rows]) == 0


def test_tokens_with_loss_are_counted_alike_in_our_rows_and_in_a_peers() -> None:
    [row] = encoded("paper jam")
    ids, supervised = whole(row)
    peer = {"input_ids": ids, "labels": [token if counts else -100 for token, counts in zip(ids, supervised, strict=True)]}

    assert count_supervised([row]) == count_supervised([peer]) == len(row["completion_ids"])
    assert shared_tokens([peer]) == 0


def test_the_clock_runs_from_the_first_step_to_the_last() -> None:
    clock, moments = Clock(), []
    arguments = SimpleNamespace(**RULES)
    loader, model = SimpleNamespace(dataset=encoded("paper jam")), SimpleNamespace(parameters=list)
    clock.on_train_begin(arguments, None, None, train_dataloader=loader, model=model)
    for step in (1, 2, 3):
        clock.on_step_begin(arguments, SimpleNamespace(global_step=step - 1), None)
        clock.on_step_end(arguments, SimpleNamespace(global_step=step), None)
        moments.append(clock.training(Path("adapter"), "v")["seconds"])

    seen = clock.training(Path("adapter"), "v")
    assert 0 < moments[0] < moments[1] < moments[2] == seen["seconds"]
    assert seen["steps"] == 3
    assert seen["rules"] == RULES
    assert 0 < seen["peak_bytes"] <= peak_resident()


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    job = Job("trl packed", "base", "rows", str(tmp_path), 1, 487)
    job.write(tmp_path / "own" / "job.json")

    assert read_job(str(tmp_path / "own" / "job.json")) == job


def test_a_peer_gets_a_row_that_becomes_the_same_tokens() -> None:
    tokenizer, [row] = tiny_tokenizer(), encoded("the printer says paper jam")

    texts = as_texts(tokenizer, row)

    assert texts["completion"] == "vpn<|end|>"
    assert texts["prompt"].endswith("<|start|>assistant\n")


class Forgetful:
    """A tokenizer that loses the first token of a text."""

    def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
        return " ".join(map(str, ids))

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [int(part) for part in text.split()][1:]}


def test_a_row_whose_texts_become_other_tokens_is_refused() -> None:
    [row] = encoded("paper jam")

    with pytest.raises(DataError, match="other tokens"):
        as_texts(Forgetful(), row)


def test_sequences_are_filled_with_what_still_fits() -> None:
    assert count_sequences([4, 3, 3], 7) == 2
    assert count_sequences([4, 3, 3], 10) == 1
    assert count_sequences([5, 5, 5], 9) == 3


def test_a_packed_sequence_holds_eight_rows_on_average_and_no_more_room() -> None:
    lengths = [50 + (7 * row) % 31 for row in range(160)]

    capacity = find_capacity(lengths)

    assert (capacity + 1) % 8 == 0
    assert count_sequences(lengths, capacity) <= 20 < count_sequences(lengths, capacity - 8)


def test_rows_are_the_same_on_every_draw_and_too_few_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("text,category\n" + "".join(f"question {row},label_{row}\n" for row in range(20)), encoding="utf-8")

    assert draw(path, 8) == draw(path, 12)[:8]
    assert [row["messages"][1]["content"] for row in draw(path, 8)] != [f"question {row}" for row in range(8)]
    with pytest.raises(DataError, match="20 rows"):
        draw(path, 21)


def test_the_bases_weights_are_those_of_its_projections() -> None:
    smollm = SimpleNamespace(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, head_dim=None
    )

    assert weights_of(smollm) == 106_168_320


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("aten::mm", "matrix products of the projections"),
        ("aten::addmm", "matrix products of the projections"),
        ("aten::add_", "element-wise"),
        ("aten::bmm", "products of attention"),
        ("aten::_softmax_backward_data", "softmax"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "fused attention"),
        ("aten::index_select", "spreading and gathering rows"),
        ("aten::_fused_adamw_", "optimizer and norm of the gradient"),
        ("aten::bernoulli_", REST),
        ("MmBackward0", AUTOGRAD),
    ],
)
def test_an_operator_belongs_to_a_part_of_the_step(operator: str, kind: str) -> None:
    assert kind_of(operator) == kind


PROFILE: Profile = {
    "steps": 2,
    "milliseconds": 100.0,
    "operators": [
        {"name": "aten::bmm", "calls": 8, "milliseconds": 20.0},
        {"name": "aten::mm", "calls": 4, "milliseconds": 50.0},
        {"name": "aten::addmm", "calls": 2, "milliseconds": 10.0},
    ],
}


def test_the_parts_add_up_to_a_step() -> None:
    parts = by_kind(PROFILE)

    assert list(parts) == ["matrix products of the projections", "products of attention", BETWEEN]
    assert parts == {"matrix products of the projections": 30.0, "products of attention": 10.0, BETWEEN: 10.0}


def test_the_page_shows_parts_and_operators_of_both() -> None:
    page = render({OURS: PROFILE, ALONE: PROFILE}, {"cores": 2, "processor": "a processor", "python": "3.11"})

    assert page.count("| matrix products of the projections | 30.0 | 60% |") == 2
    assert page.count("| `aten::mm` | 2 | 25.0 |") == 2
    assert "## With the shared prefix" in page
    assert "## Without a shared prefix" in page
