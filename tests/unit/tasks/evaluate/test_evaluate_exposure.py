import math
import random
from collections.abc import Sequence

import pytest
from scipy.stats import gamma

from pipeline_config.errors import EvaluationError
from tasks.data.canaries import canaries
from tasks.evaluate.exposure import Exposure, measure_exposure
from tasks.rows import Row, answer_of, prompt_of
from tests.builders import make_row

PLANTED = list(canaries(3, "key", "Answer."))


def test_a_canary_is_ranked_among_codes_after_its_own_prompt() -> None:
    asked: list[list[Row]] = []

    def loss_of(rows: Sequence[Row]) -> list[float]:
        asked.append(list(rows))
        return [float(answer_of(row)) for row in rows]

    found = measure_exposure(PLANTED, loss_of, rivals=9)
    assert found is not None
    for canary, rows, rank in zip(PLANTED, asked, found.ranks, strict=True):
        assert rows[0] == canary
        assert {tuple(map(str, prompt_of(row))) for row in rows} == {tuple(map(str, prompt_of(canary)))}
        codes = [answer_of(row) for row in rows]
        assert len(set(codes)) == 10
        assert {len(code) for code in codes} == {9}
        assert rank == sorted(codes).index(answer_of(canary)) + 1


def test_the_rivals_are_the_same_every_time() -> None:
    seen: list[list[str]] = []

    def loss_of(rows: Sequence[Row]) -> list[float]:
        seen.append([answer_of(row) for row in rows])
        return [1.0] * len(rows)

    measure_exposure(PLANTED[:1], loss_of)
    measure_exposure(PLANTED[:1], loss_of)
    assert seen[0] == seen[1]


def test_bits_are_those_of_the_paper() -> None:
    assert Exposure((1,), 127).bits == 7.0
    assert Exposure((128,), 127).bits == 0.0
    assert Exposure((1, 64), 127).bits == pytest.approx(4.0)


def test_a_model_that_cannot_tell_them_apart_has_no_exposure() -> None:
    found = measure_exposure(PLANTED, lambda rows: [1.0] * len(rows))
    assert found is not None
    assert found.bits == 0.0
    assert found.chance == 1.0


def test_the_chance_is_the_tail_of_a_gamma_distribution() -> None:
    found = Exposure((1, 6, 4, 3, 60), 127)
    total = sum(math.log(128 / rank) for rank in found.ranks)
    assert found.chance == pytest.approx(gamma.sf(total, 5))


def test_chance_is_no_smaller_than_it_says() -> None:
    """Ranks of a model without memory are uniform."""
    draw = random.Random(1)
    chances = [Exposure(tuple(draw.randint(1, 128) for _ in range(6)), 127).chance for _ in range(4000)]
    for level in (0.01, 0.05, 0.3):
        assert sum(chance < level for chance in chances) / len(chances) <= level * 1.25


def test_without_canaries_there_is_no_exposure_and_with_a_broken_loss_neither() -> None:
    assert measure_exposure([], lambda rows: []) is None
    assert measure_exposure(PLANTED, lambda rows: [1.0] * (len(rows) - 1) + [math.nan]) is None


def test_a_row_that_is_no_canary_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no code of digits"):
        measure_exposure([make_row("the vpn drops", "network")], lambda rows: [1.0] * len(rows))
