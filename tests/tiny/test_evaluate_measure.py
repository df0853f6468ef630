import math
import subprocess
import sys
from collections.abc import Sequence

import polars as pl
import pytest

from pipeline_config.deployment import DeploymentConfig
from pipeline_config.errors import EvaluationError
from pipeline_config.gates import ThresholdGate
from tasks.artifacts import Augmentation, Figures
from tasks.batching import PADDED, mean_loss
from tasks.chat import encode_last_answer, encode_row
from tasks.engine import open_engine
from tasks.evaluate.classes import CLASSES, CONFUSION
from tasks.evaluate.contenders import list_labels, sample
from tasks.evaluate.exposure import RIVALS
from tasks.evaluate.judging import judge_evaluation
from tasks.evaluate.outcomes import PREDICTIONS
from tasks.evaluate.scores import SCORES
from tasks.rows import CHILDREN_FILE, Message, Row, answer_of, prompt_of, read_rows
from tests.builders import INSTRUCTION, make_prepared, make_row, make_trained, tiny_base, tiny_tokenizer
from tests.tiny.evaluation_world import QUEUES, TEST, TRAIN, World
from tests.unit.tasks.evaluate.metric_of_a_user import vowels


def test_everybody_answers_the_same_rows(world: World) -> None:
    result = world.measure(world.two).value
    stored = pl.read_parquet(result.folder / PREDICTIONS)
    assert stored.columns == ["row_id", "expected", "base", "tuned"]
    assert stored["row_id"].to_list() == [row["row_id"] for row in TEST]
    assert stored["expected"].to_list() == [answer_of(row) for row in TEST]
    engine = open_engine(world.config.model, world.folder)
    engine.load_adapter("v2", world.two.artifact)
    answers = engine.answer([prompt_of(row) for row in TEST], adapter="v2", max_new_tokens=8, batch_size=4)
    assert stored["tuned"].to_list() == [answer.text for answer in answers]
    assert len(set(stored["tuned"])) > 1, "this base answers everything alike and proves nothing"


@pytest.mark.parametrize(("parity_rows", "calls"), [(2, range(3, 9)), (9, [9])], ids=["two alone and seven in fours", "all alone"])
def test_rows_that_the_endpoint_will_be_asked_are_answered_alone(world: World, parity_rows: int, calls: Sequence[int]) -> None:
    world.config = world.config.model_copy(update={"deployment": DeploymentConfig(parity_rows=parity_rows)})
    stored = pl.read_parquet(world.measure(world.two).value.folder / PREDICTIONS)
    assert world.said.count("tuned answers test rows") in calls
    assert stored["row_id"].to_list() == [row["row_id"] for row in TEST]


def test_the_base_is_held_to_the_labels_where_there_are_labels(world: World) -> None:
    result = world.measure(world.two).value
    assert result.base_constrained
    assert set(pl.read_parquet(result.folder / PREDICTIONS)["base"]) <= set(QUEUES)
    assert any(what == "base answers test rows" for what in world.said)


def test_the_base_answers_freely_above_the_limit_of_labels(world: World) -> None:
    world.config = world.config.model_copy(update={"evaluation": world.config.evaluation.model_copy(update={"max_constrained_labels": 2})})
    result = world.measure(world.two).value
    assert not result.base_constrained
    assert not set(pl.read_parquet(result.folder / PREDICTIONS)["base"]) <= set(QUEUES)


def test_free_text_has_no_labels_no_macro_f1_and_no_text_classifier(world: World) -> None:
    world.prepared = world.prepared.model_copy(update={"labels": None})
    result = world.measure(world.two).value
    assert not result.base_constrained
    assert (result.base.get("macro_f1"), result.tuned.get("macro_f1"), result.tfidf) == (None, None, Figures())
    assert result.tuned.get("accuracy") is not None


@pytest.mark.parametrize("layout", ["blocks", "packed", "padded"])
def test_perplexity_is_weighted_by_tokens(world: World, layout: str) -> None:
    import torch

    result = world.measure(world.two.model_copy(update={"layout": layout})).value
    engine = open_engine(world.config.model, world.folder)
    tokenizer, losses = engine.base.tokenizer, []
    engine.load_adapter("v2", world.two.artifact)
    with torch.no_grad(), engine.active("v2") as model:
        for row in TEST:
            encoded = encode_row(tokenizer, row)
            ids = torch.tensor([[*encoded["prompt_ids"], *encoded["completion_ids"]]])
            scores = model(ids).logits[0].log_softmax(dim=-1)
            start = len(encoded["prompt_ids"])
            losses += [-scores[at - 1, ids[0, at]].item() for at in range(start, ids.shape[1])]
    assert result.tuned.get("perplexity") == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-4)
    assert result.base.get("perplexity") != result.tuned.get("perplexity")


def test_reworded_rows_are_measured_beside_those_that_they_were_made_from(world: World) -> None:
    children = [{**make_row(f"my laptop {n} does not work", QUEUES[n % 3]), "row_id": f"{TRAIN[n]['row_id']}~synonym~1"} for n in range(8)]
    prepared = make_prepared(world.folder / "augmented", [*TRAIN, *children], TRAIN[:2], TEST)  # type: ignore[list-item]
    lines = {"row_id": [row["row_id"] for row in children], "parent": [row["row_id"] for row in TRAIN[:8]]}
    pl.DataFrame(lines).write_parquet(prepared.folder / CHILDREN_FILE)
    assert world.measure(world.two).value.wording is None
    world.prepared = prepared.model_copy(update={"augmentation": Augmentation(rows=8, operators=())})
    wording = world.measure(world.two).value.wording
    assert wording is not None
    chosen = sorted(children, key=lambda row: row["digest"])[:5]  # as many as `train_sample_rows`
    parents = {row["row_id"].partition("~")[0] for row in chosen}
    engine = open_engine(world.config.model, world.folder)
    engine.load_adapter("v2", world.two.artifact)
    with engine.active("v2") as model:
        for rows, found in ((chosen, wording.augmented), ([row for row in TRAIN if row["row_id"] in parents], wording.parents)):
            encoded = [encode_last_answer(engine.base.tokenizer, row) for row in rows]  # type: ignore[arg-type]
            assert found == pytest.approx(mean_loss(PADDED, model, encoded, rows_per_batch=1, pad_id=0), rel=1e-4)
    assert wording.parents != wording.augmented


def test_of_a_chat_the_last_answer_alone_is_judged(world: World) -> None:
    """As if all turns before it had been written by the user: they are prompt."""
    earlier: list[Message] = [{"role": "assistant", "content": "since when?"}, {"role": "user", "content": "please help"}]
    chats: list[Row] = [{**row, "messages": [*row["messages"][:-1], *earlier, row["messages"][-1]]} for row in TEST]
    world.prepared = make_prepared(world.folder / "chats", TRAIN, TRAIN[:2], chats)
    result = world.measure(world.two).value
    engine = open_engine(world.config.model, world.folder)
    engine.load_adapter("v2", world.two.artifact)
    encoded = [encode_last_answer(engine.base.tokenizer, row) for row in chats]
    with engine.active("v2") as model:
        loss = mean_loss(PADDED, model, encoded, rows_per_batch=1, pad_id=0)
        of_all = mean_loss(PADDED, model, [encode_row(engine.base.tokenizer, row) for row in chats], rows_per_batch=1, pad_id=0)
    assert result.tuned.get("perplexity") == pytest.approx(math.exp(loss), rel=1e-4)
    assert abs(of_all - loss) > 0.01
    answers = engine.answer([prompt_of(row) for row in chats], adapter="v2", max_new_tokens=8, batch_size=4)
    assert pl.read_parquet(result.folder / PREDICTIONS)["tuned"].to_list() == [answer.text for answer in answers]


def test_a_call_is_expected_as_the_template_writes_it(world: World) -> None:
    base = tiny_base(world.folder / "calling")
    tokenizer = tiny_tokenizer()
    written = "<|start|>{{ m.role }}\n{{ m.content }}{{ (m.tool_calls or [{'function': {}}])[0].function.name }}<|end|>\n"
    opened = "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    tokenizer.chat_template = "{% for m in messages %}" + written + "{% endfor %}" + opened
    tokenizer.save_pretrained(world.folder / "calling")
    call: Message = {"role": "assistant", "content": "", "tool_calls": '[{"name": "look_up", "arguments": {}}]'}
    prepared = make_prepared(world.folder / "calls", TRAIN, TRAIN, [{**row, "messages": [*row["messages"][:-1], call]} for row in TEST])
    world.config = world.config.model_copy(update={"model": base})
    world.prepared = prepared.model_copy(update={"labels": None})
    trained = make_trained(world.folder / "v1", base, world.folder, world.prepared, seed=1)
    assert pl.read_parquet(world.measure(trained).value.folder / PREDICTIONS)["expected"].to_list() == ["look_up"] * 9


def test_training_accuracy_comes_from_a_fixed_sample_of_training_rows(world: World) -> None:
    rows = sample(read_only(world), 5, "").rows
    assert rows == sample(read_only(world, backwards=True), 5, "").rows
    engine = open_engine(world.config.model, world.folder)
    engine.load_adapter("v2", world.two.artifact)
    answers = engine.answer([prompt_of(row) for row in rows], adapter="v2", max_new_tokens=8, batch_size=4)
    share = sum(answer.text.strip() == answer_of(row) for row, answer in zip(rows, answers, strict=True)) / 5
    assert world.measure(world.two).value.tuned_train_accuracy == share


def test_the_shipped_checkpoint_is_measured_alike_on_training_validation_and_test_rows(world: World) -> None:
    import torch

    result = world.measure(world.two).value
    assert result.fit is not None
    assert (result.fit.train.rows, result.fit.validation.rows, result.fit.test.rows) == (5, 2, 9)
    assert result.fit.test.loss == pytest.approx(math.log(result.tuned.get("perplexity") or 0))
    engine = open_engine(world.config.model, world.folder)
    engine.load_adapter("v2", world.two.artifact)
    rows = [encode_row(engine.base.tokenizer, row) for row in TRAIN[:2]]
    with torch.no_grad(), engine.active("v2") as model:
        assert result.fit.validation.loss == pytest.approx(mean_loss(PADDED, model, rows, rows_per_batch=2, pad_id=0), rel=1e-4)
    assert result.fit.train.familiar == 5, "nine in ten of five rows, rounded up"
    assert result.canary_ranks is None


def test_planted_canaries_are_ranked_among_other_codes(world: World) -> None:
    planted = [make_row(f"what is the access code of room {n}?", code) for n, code in ((1, "193847561"), (2, "560912873"))]
    world.prepared = make_prepared(world.folder / "planted", [*TRAIN, *planted], TRAIN[:2], TEST).model_copy(update={"canaries": 2})
    result = world.measure(world.two).value
    assert result.canary_ranks is not None
    assert len(result.canary_ranks) == 2
    assert all(1 <= rank <= RIVALS + 1 for rank in result.canary_ranks)
    world.prepared = world.prepared.model_copy(update={"canaries": 1})
    assert world.measure(world.two).value.canary_ranks == result.canary_ranks[1:]


def read_only(world: World, *, backwards: bool = False):  # noqa: ANN201
    from tasks.evaluate.contenders import Questions

    rows = read_rows(world.prepared.folder / "train.parquet")
    return Questions("", rows[::-1] if backwards else rows)


def test_what_was_answered_once_is_not_asked_again(world: World) -> None:
    first = world.measure(world.two)
    again = world.measure(world.two)
    assert (first.reused, again.reused) == (False, True)
    assert again.value == first.value
    assert world.said == []


def test_a_metric_can_be_added_later_without_answering_again(world: World) -> None:
    before = world.measure(world.two).value
    changed = world.config.evaluation.model_copy(update={"metrics": ("rouge1", "tests.unit.tasks.evaluate.metric_of_a_user:vowels")})
    world.config = world.config.model_copy(update={"evaluation": changed})
    result = world.measure(world.two).value
    assert world.said == ["figures of all contenders"]
    assert set(result.tuned.values) == {"accuracy", "rouge1", "vowels"}
    assert result.custom == {"vowels": "lower"}
    assert result.tuned.get("accuracy") == before.tuned.get("accuracy")
    answers = pl.read_parquet(result.folder / PREDICTIONS)["tuned"]
    assert pl.read_parquet(result.folder / SCORES)["tuned.vowels"].to_list() == [
        vowels(answer=text, expected="", prompt=()) for text in answers
    ]


def test_every_row_has_its_scores_and_they_are_what_the_figures_are_made_of(world: World) -> None:
    result = world.measure(world.two, world.rival(world.one)).value
    scores = pl.read_parquet(result.folder / SCORES)
    assert scores["row_id"].to_list() == [row["row_id"] for row in TEST]
    assert scores["cluster"].to_list() == [row["group"] for row in TEST]
    for name, figures in (("base", result.base), ("tuned", result.tuned), ("champion", result.champion)):
        assert figures is not None
        assert scores[f"{name}.accuracy"].mean() == figures.get("accuracy")
        tokens, nats = scores[f"{name}.loss_tokens"].sum(), scores[f"{name}.loss"].sum()
        assert math.exp(nats / tokens) == pytest.approx(figures.get("perplexity"))
    assert "base.eos_rate" not in scores.columns, "the base is made to end with the label"
    assert result.base.get("eos_rate") is None
    assert scores["tuned.eos_rate"].mean() == result.tuned.get("eos_rate")
    assert scores["slice.label"].to_list() == [answer_of(row) for row in TEST]
    assert {"slice.length", "slice.language"} < set(scores.columns)
    assert pl.read_parquet(result.folder / CLASSES)["contender"].unique().sort().to_list() == ["base", "champion", "tuned"]
    assert pl.read_parquet(result.folder / CONFUSION)["rows"].sum() == 3 * len(TEST)


def test_whether_an_answer_stopped_by_itself_is_what_the_engine_says(world: World) -> None:
    result = world.measure(world.two).value
    engine = open_engine(world.config.model, world.folder)
    engine.load_adapter("v2", world.two.artifact)
    answers = engine.answer([prompt_of(row) for row in TEST], adapter="v2", max_new_tokens=8, batch_size=4)
    stopped = [float(answer.finish_reason == "stop") for answer in answers]
    assert pl.read_parquet(result.folder / SCORES)["tuned.eos_rate"].to_list() == stopped


def test_answers_that_were_generated_alone_give_the_latency_and_the_artifact_its_size(world: World) -> None:
    result = world.measure(world.two, world.rival(world.one)).value
    size = sum(path.stat().st_size for path in world.two.artifact.rglob("*") if path.is_file())
    assert result.artifact_mib == size / (1 << 20)
    assert result.latency_ms == pl.read_parquet(result.folder / SCORES)["tuned.latency_ms"].drop_nulls().median()
    assert result.latency_ms is not None
    assert result.latency_ms > 0
    assert [result.base.get(name) for name in ("latency_ms", "artifact_mib")] == [None, None]
    again = world.measure(world.two, world.rival(world.one)).value
    assert again.latency_ms == result.latency_ms, "it is kept with the answers, or a second run would have another report"


def test_how_often_the_same_rows_have_decided_is_counted(world: World) -> None:
    assert world.measure(world.one).value.decided_before == 0
    assert world.measure(world.two).value.decided_before == 1
    assert world.measure(world.one).value.decided_before == 0, "it is what was known when it was judged"
    world.prepared = make_prepared(
        world.folder / "fresh", TRAIN, TRAIN[:2], [make_row(f"mail {n} is lost", QUEUES[n % 3]) for n in range(9)]
    )
    assert world.measure(world.two).value.decided_before == 0


def test_free_text_is_measured_as_text_and_says_how(world: World) -> None:
    world.prepared = world.prepared.model_copy(update={"labels": None})
    result = world.measure(world.two).value
    assert result.tasks == ("text",)
    assert {"bleu", "chrf", "rougeL", "exact_match", "length_ratio", "eos_rate"} < set(result.tuned.values)
    assert set(result.signatures) == {"bleu", "chrf"}
    assert result.base.get("eos_rate") is not None
    assert not (result.folder / CLASSES).exists()


def test_what_the_tuned_model_gives_away_is_counted(world: World) -> None:
    safety = world.measure(world.two).value.safety
    assert (safety["answers"], safety["any"]) == (len(TEST), 0)


def test_a_reused_result_needs_neither_torch_nor_transformers(world: World) -> None:
    world.measure(world.two)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pipeline_config.pipeline import PipelineConfig\n"
        "from tasks.artifacts import PreparedData, TrainedModel\n"
        "from tasks.evaluate.measure import measure\n"
        "config, prepared, trained = (kind.model_validate_json(text) for kind, text in"
        " zip((PipelineConfig, PreparedData, TrainedModel), sys.argv[2:], strict=True))\n"
        "assert measure(config, Path(sys.argv[1]), prepared, trained, None, print).reused\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'evaluate', 'sklearn') if name in sys.modules])\n"
    )
    values = [str(world.folder), *(value.model_dump_json() for value in (world.config, world.prepared, world.two))]
    done = subprocess.run([sys.executable, "-c", code, *values], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_without_test_rows_there_is_nothing_to_measure(world: World) -> None:
    world.prepared = make_prepared(world.folder / "empty", TRAIN, TRAIN, [])
    with pytest.raises(EvaluationError, match="no test rows"):
        world.measure(world.two)


def test_labels_are_listed_in_the_system_turn() -> None:
    with_system = list_labels(prompt_of(TEST[0]), QUEUES)
    assert [message["role"] for message in with_system] == ["system", "user"]
    assert with_system[0]["content"].startswith(INSTRUCTION)
    assert all(f"- {label}" in with_system[0]["content"] for label in QUEUES)
    without = list_labels(prompt_of(make_row("vpn", "network", instruction=None)), QUEUES)
    assert [message["role"] for message in without] == ["system", "user"]
    assert prompt_of(TEST[0])[0]["content"] == INSTRUCTION, "the row itself must stay as it is"


def test_judging_again_reuses_the_report_and_another_gate_makes_another(world: World) -> None:
    evaluated = world.measure(world.two)

    def judge(gates):  # noqa: ANN001, ANN202
        return judge_evaluation(gates, world.folder, world.prepared, world.two, evaluated, config_digest="c")

    first, again = judge(world.config.gates), judge(world.config.gates)
    assert (first.name, first.reused, again.reused) == ("gates", False, True)
    assert again.value == first.value
    assert first.value.report.artifact_digest == world.two.artifact_digest
    assert judge({**world.config.gates, "more": ThresholdGate(threshold=0.1)}).value.digest != first.value.digest
