import math

import pytest

from tasks.evaluate.fit import fit_of


def test_losses_are_means_over_tokens() -> None:
    found = fit_of([(1.0, 2), (2.0, 4)], [(3.0, 3)], [(1.0, 1), (8.0, 8)])
    assert (found.train.loss, found.validation.loss, found.test.loss) == (0.5, 1.0, 1.0)
    assert (found.train.rows, found.validation.rows, found.test.rows) == (2, 1, 2)


def test_nine_training_rows_in_ten_are_familiar_and_others_by_the_same_measure() -> None:
    train = [(0.1 * at, 2) for at in range(1, 11)]
    found = fit_of(train, [(0.9, 2), (0.45, 1), (0.91, 2)], [(5.0, 2)])
    assert found.train.familiar == 9
    assert found.validation.familiar == 2
    assert found.test.familiar == 0


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_no_loss(broken: float) -> None:
    whole = [(0.5, 1), (0.6, 1)]
    assert fit_of(whole, [(broken, 1)], whole).validation.loss is None
    found = fit_of([(broken, 1), *whole], whole, whole)
    assert found.train.loss is None


def test_a_side_without_rows_has_no_loss() -> None:
    found = fit_of([], [], [(1.0, 1)])
    assert (found.train.loss, found.train.rows, found.test.familiar) == (None, 0, 0)
