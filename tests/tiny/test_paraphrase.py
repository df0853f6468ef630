"""The operator `paraphrase` on a base in this process: a random one, but a real engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline_config.augmentation import AugmentationConfig, ParaphraseConfig
from pipeline_config.model import ModelConfig
from tasks.augment.catalogue import open_operators
from tasks.augment.operators import Candidate, Operator, Request
from tasks.augment.paraphrase import BaseParaphrase
from tasks.generation import Answer
from tests.builders import tiny_base

TEXTS = ["the vpn drops", "paper jam", "password reset please"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelConfig:
    return tiny_base(tmp_path_factory.mktemp("base") / "base")


def opened(base: ModelConfig, workspace: Path, **settings: Any) -> Operator:
    config = AugmentationConfig(paraphrase=ParaphraseConfig(**settings))
    ((operator,), missing) = open_operators(config, base, workspace)
    assert missing == []
    return operator


def reword(operator: Operator, requests: Sequence[Request]) -> dict[str, Candidate]:
    found = {candidate.key: candidate for candidate in operator.reword(requests)}
    assert len(found) == len(requests)
    return found


def test_a_candidate_depends_on_text_and_seed_and_not_on_the_others(base: ModelConfig, tmp_path: Path) -> None:
    operator = opened(base, tmp_path)
    requests = [Request(f"{text}-{seed}", text, seed) for text in TEXTS for seed in (1, 2)]
    together = reword(operator, requests)
    for request in requests[:3]:
        assert reword(operator, [request])[request.key] == together[request.key]
    assert {candidate.reason for candidate in together.values()} <= {None, "cut off", "more than asked for", "empty"}


def test_other_settings_and_other_bases_are_other_versions(base: ModelConfig, tmp_path: Path) -> None:
    usual = opened(base, tmp_path).version
    assert opened(base, tmp_path).version == usual
    assert opened(base, tmp_path, temperature=1.5).version != usual
    assert opened(base, tmp_path, top_p=0.5).version != usual
    in_16_bits = opened(base.model_copy(update={"dtype": "bfloat16"}), tmp_path)
    assert in_16_bits.version == usual, "it is loaded in fp32 all the same"


class Echo:
    """An engine that says what it was asked, in capitals, and tells with which seeds."""

    def __init__(self, tokens: int = 5) -> None:
        self.calls: list[Any] = []
        self._tokens = tokens

    def answer(self, prompts: Any, **call: Any) -> list[Answer]:
        self.calls.append(call)
        texts = [prompt[-1]["content"].rpartition("Paraphrase this message: ")[2].upper() for prompt in prompts]
        return [Answer(text, 10, self._tokens, "stop") for text in texts]


def echoing(echo: Echo) -> BaseParaphrase:
    return BaseParaphrase(ParaphraseConfig(temperature=0.7, top_p=0.9), ("digest", "float32", None), lambda: echo)  # type: ignore[arg-type,return-value]


def test_each_request_is_answered_with_its_own_seed() -> None:
    echo = Echo()
    made = reword(echoing(echo), [Request("a", "paper jam", 7), Request("b", "vpn", 9)])
    assert {key: candidate.text for key, candidate in made.items()} == {"a": "PAPER JAM", "b": "VPN"}
    (call,) = echo.calls
    assert (call["adapter"], call["sampling"].temperature, call["sampling"].top_p) == (None, 0.7, 0.9)
    assert list(call["sampling"].seeds) == [9, 7]


def test_candidates_come_batch_by_batch() -> None:
    echo = Echo()
    candidates = echoing(echo).reword([Request(str(number), f"text {number}", number) for number in range(100)])
    next(iter(candidates))
    assert len(echo.calls) == 1, "what was handed out before a kill is kept, so it must not wait for the rest"


def test_a_text_is_cut_off_by_its_own_length_and_not_by_its_neighbours() -> None:
    made = reword(echoing(Echo(tokens=30)), [Request("short", "vpn", 1), Request("long", "x" * 100, 2)])
    assert (made["short"].reason, made["long"].reason) == ("cut off", None)


def test_nothing_is_loaded_before_the_first_request() -> None:
    def fails() -> Any:
        raise AssertionError("loaded")

    operator = BaseParaphrase(ParaphraseConfig(), ("digest", "float32", None), fails)
    assert list(operator.reword([])) == []
    assert [candidate.reason for candidate in operator.reword([Request("a", "", 1)])] == ["empty text"]
