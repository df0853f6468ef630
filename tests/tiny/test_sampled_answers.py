"""Answers whose tokens are drawn: each by its own seed, whoever else is answered."""

import pytest

from tasks.drawing import Sampling
from tasks.engine import TransformersEngine, open_engine
from tests.builders import tiny_base

PROMPTS = [[{"role": "user", "content": text}] for text in ("vpn", "paper jam, third time today", "password", "a", "laptop does not start")]
SEEDS = [11, 12, 13, 14, 15]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = tmp_path_factory.mktemp("base")
    return open_engine(tiny_base(folder / "base"), folder)


def texts(engine: TransformersEngine, order: list[int], seeds: list[int], batch_size: int, allowed: list[str] | None = None) -> list[str]:
    sampling = Sampling(1.0, 0.95, seeds)
    asked = [PROMPTS[number] for number in order]  # type: ignore[misc]
    answers = engine.answer(asked, adapter=None, max_new_tokens=12, batch_size=batch_size, allowed=allowed, sampling=sampling)  # type: ignore[arg-type]
    return [answer.text for answer in answers]


def test_an_answer_depends_on_its_seed_and_not_on_the_batch(engine: TransformersEngine) -> None:
    alone = texts(engine, [0, 1, 2, 3, 4], SEEDS, batch_size=1)
    assert texts(engine, [0, 1, 2, 3, 4], SEEDS, batch_size=5) == alone
    assert texts(engine, [4, 3, 2, 1, 0], SEEDS[::-1], batch_size=2) == alone[::-1]
    assert texts(engine, [1], [12], batch_size=1) == [alone[1]]


def test_another_seed_gives_another_answer_and_the_best_tokens_another_still(engine: TransformersEngine) -> None:
    drawn = texts(engine, [1] * 5, SEEDS, batch_size=5)
    assert len(set(drawn)) == 5
    best = engine.answer([PROMPTS[1]], adapter=None, max_new_tokens=12)[0].text  # type: ignore[list-item]
    assert best not in drawn


def test_drawn_answers_are_held_to_what_is_allowed(engine: TransformersEngine) -> None:
    for batch_size in (1, 4):
        drawn = texts(engine, [0] * 40, list(range(40)), batch_size, allowed=["network", "hardware", "access"])
        assert set(drawn) <= {"network", "hardware", "access"}
        assert len(set(drawn)) > 1
