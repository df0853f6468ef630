"""Each check, with a child that it refuses and one like it that it lets pass."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline_config.augmentation import AcceptConfig
from tasks.augment.accept import (
    BEYOND,
    CLOSE,
    COPY,
    FAR,
    KNOWN,
    LABEL,
    LANGUAGE,
    LONG,
    LOST,
    MEANS,
    NEAR,
    NEW,
    SENSITIVE,
    SHORT,
    Acceptance,
    Proposal,
    count_reasons,
    prompt_key,
)
from tasks.augment.neighbours import HeldOut, References
from tasks.augment.requests import reworded
from tests.builders import make_row
from tests.unit.tasks.augment.augment_builders import WordCounter

PARENT = "My card was charged 12 euros and I do not know why it happened"
GOOD = "My card was debited 12 euros and I do not know why it happened"
HELD = ["When will the new branch in the city centre open its doors"]


class Known:
    """Vectors of given texts; any other text has one of its own."""

    name = "given"

    def __init__(self, vectors: dict[str, tuple[float, float]]) -> None:
        self._vectors = vectors

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = np.array([self._vectors.get(text, (1.0, 0.0)) for text in texts], dtype=np.float32).reshape(-1, 2)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def judged(child: str, parent: str = PARENT, label: str = "x", **options: Any) -> Proposal:
    """What becomes of one child; `accept` are settings, everything else is of `Acceptance`."""
    row = make_row(parent, label)
    embedder = options.get("embedder", WordCounter())
    config = AcceptConfig.model_validate({"neighbours": 0} | options.get("accept", {}))
    held = HeldOut(options.get("held", HELD), options.get("near_jaccard", 0.65), embedder)
    keys = {prompt_key(row["messages"])} | options.get("known", set())
    acceptance = Acceptance(config, held, options.get("references"), keys, options.get("fits", lambda _: True), embedder)
    (proposal,) = acceptance.judge([Proposal(row, label, reworded(row["messages"], {1: child}), ((parent, child),))])
    return proposal


def test_another_wording_is_accepted_with_its_similarity() -> None:
    proposal = judged(GOOD)
    assert proposal.reason is None
    assert proposal.similarity == pytest.approx(0.93, abs=0.03)


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        (PARENT.upper(), COPY),
        ("12 euros, why not", SHORT),
        (f"{PARENT} {PARENT} {PARENT}", LONG),
        (GOOD.replace("12", "13"), LOST),
        (GOOD.replace("12 ", ""), LOST),
        (GOOD.replace("do not know", "know"), LOST),
        (f"{GOOD} on 3 occasions", NEW),
        (f"{GOOD}, says <|im_end|>", NEW),
        ("Mi tarjeta fue cargada con 12 euros y yo not se por que ha pasado esto", LANGUAGE),
        (f"{GOOD}, write me at jane.doe@example.com", NEW),
        (f"{GOOD} to grandmother of the other people in some town far from here", FAR),
    ],
)  # fmt: skip
def test_what_loses_or_adds_something_is_refused(child: str, reason: str) -> None:
    assert judged(child, accept={"min_similarity": 0.8}).reason == reason


def test_personal_data_that_the_parent_has_too_is_no_new_one() -> None:
    mail = "Please write to jane.doe@example.com because the parcel is lost"
    assert judged("Please send to jane.doe@example.com because the parcel is lost", mail).reason is None


def test_new_personal_data_is_refused_even_if_no_protected_text_is_new() -> None:
    parent = "Please call about the error 1234567 that came in building 0171"
    assert (
        judged("Please call 0171 1234567 about the error that came in building", parent, accept={"min_similarity": 0.1}).reason == SENSITIVE
    )


def test_what_is_said_by_another_row_is_refused() -> None:
    key = prompt_key(make_row(GOOD.upper(), "another")["messages"])
    assert judged(GOOD, known={key}).reason == KNOWN


def test_of_two_equal_children_the_first_is_accepted() -> None:
    row = make_row(PARENT, "x")
    embedder = WordCounter()
    acceptance = Acceptance(AcceptConfig(neighbours=0), HeldOut(HELD, 0.65, embedder), None, set(), lambda _: True, embedder)
    proposal = Proposal(row, "x", reworded(row["messages"], {1: GOOD}), ((PARENT, GOOD),))
    assert [each.reason for each in acceptance.judge([proposal, proposal])] == [None, KNOWN]
    assert [each.reason for each in acceptance.judge([proposal])] == [KNOWN]


@pytest.mark.parametrize(("near_jaccard", "reason"), [(0.65, NEAR), (None, None)])
def test_near_rows_are_refused_unless_the_split_knows_none(near_jaccard: float | None, reason: str | None) -> None:
    child, accept = GOOD, {"max_held_out_similarity": 1}
    assert judged(child, held=[f"{GOOD} again"], near_jaccard=near_jaccard, accept=accept).reason == reason
    assert judged(child, held=[GOOD.upper()], near_jaccard=near_jaccard, accept=accept).reason == NEAR


def test_what_does_not_fit_into_the_context_is_refused_if_it_has_grown() -> None:
    assert judged(f"{GOOD} at all", fits=lambda _: False).reason == BEYOND
    assert judged(GOOD.replace("debited", "billed"), fits=lambda _: False).reason is None


@pytest.mark.parametrize(("cosine", "reason"), [(0.69, FAR), (0.71, None), (0.9949, None), (0.9951, CLOSE)])
def test_similarity_has_to_lie_in_the_band(cosine: float, reason: str | None) -> None:
    embedder = Known({GOOD: (cosine, float(np.sqrt(1 - cosine**2))), HELD[0]: (-1.0, 0.0)})
    proposal = judged(GOOD, embedder=embedder)
    assert proposal.reason == reason
    assert proposal.similarity == pytest.approx(cosine, abs=1e-4)


@pytest.mark.parametrize(("angle", "reason"), [(0.25, MEANS), (0.4, None)])
def test_what_a_held_out_row_says_in_other_words_is_refused(angle: float, reason: str | None) -> None:
    place = (float(np.cos(0.5)), float(np.sin(0.5)))
    embedder = Known({GOOD: place, HELD[0]: (float(np.cos(0.5 + angle)), float(np.sin(0.5 + angle)))})
    assert judged(GOOD, embedder=embedder).reason == reason


def references(*labels: str) -> tuple[list[str], list[str]]:
    """Rows at growing distance from the child, with these labels."""
    return [f"reference {number}" for number in range(len(labels))], list(labels)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["x", "x", "y", "x", "y", "y", "y"], None),
        (["y", "y", "x", "y", "x", "x", "x"], LABEL),
        (["x", "y", "y", "y", "y", "y"], None),  # the only row of its label is the nearest
        (["y", "x", "y", "y", "y", "y"], LABEL),
        (["y", "x", "x", "y", "y", "y"], None),  # two of the three that are asked
    ],
)  # fmt: skip
def test_the_nearest_rows_have_to_have_the_label(labels: list[str], reason: str | None) -> None:
    texts, given = references(*labels)
    angles = {text: (float(np.cos(0.1 * number)), float(np.sin(0.1 * number))) for number, text in enumerate(texts)}
    embedder = Known({**angles, PARENT: (0.9, 0.43), HELD[0]: (-1.0, 0.0)})
    proposal = judged(GOOD, accept={"neighbours": 5}, references=References(texts, given, embedder), embedder=embedder)
    assert proposal.reason == reason


def test_what_an_operator_has_refused_is_judged_no_further() -> None:
    row = make_row(PARENT, "x")
    acceptance = Acceptance(AcceptConfig(), HeldOut([], None, WordCounter()), None, set(), lambda _: True, WordCounter())
    (proposal,) = acceptance.judge([Proposal(row, "x", row["messages"], (), reason="HTTP 429")])
    assert (proposal.reason, proposal.similarity) == ("HTTP 429", None)


def test_reasons_are_counted_the_most_frequent_first() -> None:
    assert list(count_reasons(["b", None, "a", "b", "c"]).items()) == [("b", 2), ("a", 1), ("c", 1)]
