"""Answers of many prompts together: those of each prompt alone, in fewer passes."""

import logging
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, PromptTuningConfig

from tasks import decoding
from tasks.answer_tree import AnswerTree
from tasks.decoding import Rules, Together, answer_alone, rules, why_not_together
from tasks.engine import TransformersEngine
from tasks.manifest import BaseIdentity
from tasks.models import LoadedBase
from tasks.rows import Message, to_messages
from tests.architectures import FAMILIES, VOCABULARY, WINDOW, random_rows, tiny_model
from tests.builders import INSTRUCTION, tiny_tokenizer
from tests.tiny.test_soft_prompts import soft

END, LIMIT = 1, 8
FREE = Rules(END, LIMIT)
LENGTHS = [24, 15, 30, 19, 15, 90, 24, 41]
ALIKE = [row["prompt_ids"] for row in random_rows(9, LENGTHS)]
UNLIKE = [row["prompt_ids"] for row in random_rows(0, LENGTHS)]

FAMILY = pytest.mark.parametrize("family", FAMILIES)
PROMPTS = pytest.mark.parametrize("prompts", [ALIKE, UNLIKE], ids=["shared beginning", "nothing shared"])


def alone(model: Any, prompts: list[list[int]], kept: Rules = FREE) -> list[list[int]]:
    with torch.inference_mode():
        return [answer_alone(model, prompt, kept) for prompt in prompts]


def together(model: Any, prompts: list[list[int]], rows: int, kept: Rules = FREE, given: AnswerTree | None = None) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    with torch.inference_mode():
        for done in Together(model, prompts, kept, rows=rows, given=given).answers():
            assert done.keys().isdisjoint(found)
            found |= done
    return [found[number] for number in range(len(prompts))]


def count_passes(model: Any) -> list[int]:
    """Fills with the number of tokens of each pass."""
    passes: list[int] = []
    model.register_forward_pre_hook(lambda _, args, __: passes.append(args[0].shape[1]), with_kwargs=True)
    return passes


@PROMPTS
@FAMILY
def test_prompts_longer_than_the_window_have_the_same_answers_in_any_company(family: str, prompts: list[list[int]]) -> None:
    assert min(map(len, prompts)) > WINDOW
    model = tiny_model(family)
    wanted = alone(model, prompts)
    assert len({tuple(answer) for answer in wanted}) > 2
    assert [together(model, prompts, rows) for rows in (8, 3, 2)] == [wanted] * 3


@pytest.mark.parametrize("virtual", [5, WINDOW + 3], ids=["few", "more than the window sees"])
@pytest.mark.parametrize("config", [PrefixTuningConfig, PromptTuningConfig], ids=["prefix", "prompt"])
@PROMPTS
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3", "gemma3"])
def test_virtual_tokens_come_before_every_row(family: str, prompts: list[list[int]], config: Any, virtual: int) -> None:
    model = soft(family, config, virtual)
    assert together(model, prompts, 3) == alone(model, prompts)


@pytest.mark.parametrize("wrong_from", range(LIMIT))
@pytest.mark.parametrize("family", ["llama", "qwen2-sliding"])
def test_a_guess_changes_no_answer_however_far_it_is_right(family: str, wrong_from: int) -> None:
    model = tiny_model(family)
    wanted = alone(model, ALIKE)
    guesses = [answer[:wrong_from] + [2 + token % (VOCABULARY - 2) for token in answer[wrong_from:]] for answer in wanted]
    assert together(model, ALIKE, 3, given=AnswerTree(guesses)) == wanted


def test_an_answer_that_was_given_before_takes_one_pass_more_than_its_first_token() -> None:
    model = tiny_model("llama")
    prompts = [ALIKE[0]] * 6
    passes = count_passes(model)
    answers = together(model, prompts, 2)
    assert answers == [answers[0]] * 6
    assert len(answers[0]) == LIMIT
    own, lead = 1, len(ALIKE[0]) - 1
    first_two, next_two = [2 * own, *[2] * (LIMIT - 1)], [2 * own + 2 * (LIMIT - 1)]
    assert passes == [lead, *first_two, *next_two, *next_two]


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_prompts_that_are_longer_than_a_pass_are_computed_piece_by_piece(family: str) -> None:
    model = tiny_model(family, max_position_embeddings=2048)
    prompts = [row["prompt_ids"] for row in random_rows(9, [1300, 24, 700, 24, 300, 300, 300])]
    wanted = alone(model, prompts)
    passes = count_passes(model)
    assert together(model, prompts, 7) == wanted
    assert 512 < max(passes) <= 1024


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_a_beginning_that_only_some_prompts_share_is_computed_once_for_each_of_them(family: str) -> None:
    model = tiny_model(family)
    templates = [row["prompt_ids"] for row in random_rows(0, [40, 40])]
    prompts = [[*template, *end] for end in ([5], [6, 7], [8, 9, 10], [5, 6, 7, 8]) for template in templates]
    wanted = alone(model, prompts)
    passes = count_passes(model)
    assert together(model, prompts, 2) == wanted
    assert sum(passes) < 2 * 40 + len(prompts) * (5 + LIMIT)


def test_fewer_rows_at_a_time_if_their_keys_would_take_too_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    wanted = alone(model, ALIKE)
    monkeypatch.setattr(decoding, "_MEMORY", 1)
    passes = count_passes(model)
    assert together(model, ALIKE, 4) == wanted
    assert sorted(passes)[: len(ALIKE)] == [1] * len(ALIKE), "one row at a time, which goes on by one token"


def test_answers_that_may_be_long_are_no_reason_to_answer_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_MEMORY", 2**20)
    assert why_not_together(tiny_model("llama"), ALIKE, Rules(END, 20_000)) is None


def test_a_row_that_is_done_makes_room_for_the_next() -> None:
    model = tiny_model("llama")
    kept = Rules(alone(model, ALIKE)[0][3], LIMIT)
    wanted = alone(model, ALIKE, kept)
    assert len({len(answer) for answer in wanted}) > 1
    assert [together(model, ALIKE, rows, kept) for rows in (2, 4)] == [wanted] * 2


@PROMPTS
def test_allowed_answers_are_those_of_one_prompt_alone_and_need_no_pass_for_what_is_forced(prompts: list[list[int]]) -> None:
    model = tiny_model("llama")
    allowed = [[5, 6, 7, END], [5, 6, 8, 9, END], [10, 11, 12, 13, 14, 15, 16, 17, 18, END]]
    wanted = alone(model, prompts, rules(END, 2, allowed))
    assert len({tuple(answer) for answer in wanted}) > 1
    assert {tuple(answer) for answer in wanted} <= {tuple(answer) for answer in allowed}
    passes = count_passes(model)
    assert together(model, prompts, 8, rules(END, 2, allowed)) == wanted
    assert len(passes) <= 3, "the common beginning, the first token, and a second one for answers that begin alike"


TOKENIZER = tiny_tokenizer()
CHATS: list[list[Message]] = [to_messages(INSTRUCTION, text, "")[:-1] for text in ("vpn", "printer jam, third time", "password", "a")]


def engine(model: Any) -> TransformersEngine:
    return TransformersEngine(LoadedBase(model, TOKENIZER, BaseIdentity(name_or_path="t", revision=None, digest="", dtype="float32")))


def texts(engine: TransformersEngine, batch_size: int) -> list[str]:
    return [answer.text for answer in engine.answer(CHATS, adapter=None, max_new_tokens=8, batch_size=batch_size)]


def test_a_model_that_would_mix_rows_is_found_out(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_model("llama", vocab_size=len(TOKENIZER), eos_token_id=TOKENIZER.eos_token_id)
    assert why_not_together(model, ALIKE, FREE) is None
    model.set_attn_implementation("eager")
    assert "logits are off by" in (why_not_together(model, ALIKE, FREE) or "")

    ours = engine(model)
    with caplog.at_level(logging.WARNING, "tasks.engine"):
        assert texts(ours, 4) == texts(ours, 1)
    assert [record for record in caplog.records if "one by one" in record.message]


@FAMILY
def test_every_family_is_answered_together(family: str, caplog: pytest.LogCaptureFixture) -> None:
    ours = engine(tiny_model(family, vocab_size=len(TOKENIZER), eos_token_id=TOKENIZER.eos_token_id))
    with caplog.at_level(logging.WARNING, "tasks.engine"):
        assert texts(ours, 4) == texts(ours, 1)
    assert caplog.records == []


def test_alone_means_the_same_whatever_was_asked_before() -> None:
    model = tiny_model("llama", vocab_size=len(TOKENIZER), eos_token_id=TOKENIZER.eos_token_id).bfloat16()
    ours = engine(model)
    passes = count_passes(model)
    first, again = texts(ours, 1), texts(ours, 1)
    assert first == again
    half = len(passes) // 2
    assert passes[:half] == passes[half:]
    assert sum(count > 1 for count in passes[:half]) == len(CHATS), "one pass over each prompt, and tokens one by one"
