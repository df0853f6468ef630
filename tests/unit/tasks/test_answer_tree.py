"""Answers by their beginnings."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.answer_tree import AnswerTree

SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=12)


def test_what_half_of_all_sequences_have_in_common_is_likely() -> None:
    tree = AnswerTree([[1, 2, 3], [1, 2, 4], [1, 2, 4], [5]])

    assert tree.likely() == [1, 2, 4]
    assert AnswerTree([[1, 2], [1, 3], [1, 4], [5]]).likely() == [1]
    assert AnswerTree([[1], [2], [3]]).likely() == []


def test_one_answer_is_as_likely_as_can_be_and_none_is_not() -> None:
    assert AnswerTree([[7, 8, 9]]).likely() == [7, 8, 9]
    assert AnswerTree().likely() == AnswerTree().forced() == []


def test_what_has_no_alternative_is_forced() -> None:
    tree = AnswerTree([[1, 2, 3, 0], [1, 2, 4, 5, 0]])

    assert tree.forced() == [1, 2]
    behind = tree.find([1, 2, 4])
    assert behind is not None
    assert behind.forced() == [5, 0]
    assert tree.find([1, 3]) is None
    assert tree.depth() == 5


@given(SEQUENCES)
def test_a_node_counts_the_sequences_that_begin_so(sequences: list[list[int]]) -> None:
    tree = AnswerTree(sequences)
    for sequence in sequences:
        for end in range(len(sequence) + 1):
            node = tree.find(sequence[:end])
            assert node is not None
            assert node.count == sum(other[:end] == sequence[:end] for other in sequences)


@given(SEQUENCES)
def test_every_likely_beginning_is_that_of_half_of_them(sequences: list[list[int]]) -> None:
    likely = AnswerTree(sequences).likely()
    for end in range(len(likely) + 1):
        assert 2 * sum(sequence[:end] == likely[:end] for sequence in sequences) >= len(sequences)
