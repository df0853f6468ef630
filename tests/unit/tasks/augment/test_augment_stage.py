"""Augmentation as a whole: what is added, what is refused and why, that nothing leaks, and that nothing is made twice."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_config.errors import DataError
from tasks.artifacts import PreparedData
from tasks.augment.accept import COPY, KNOWN, LONG, NEAR
from tasks.augment.children import CHILDREN, REJECTED, REJECTED_FILE
from tasks.augment.operators import Candidate, Missing, Request
from tasks.augment.requests import compared_text
from tasks.augment.stage import NOTHING
from tasks.files import file_digests
from tasks.nearness.near import near_pairs_between
from tasks.nearness.normal import normalise
from tasks.rows import BENCHMARK_FILE, CHILDREN_FILE, Row, messages_digest, write_rows
from tests.builders import make_row
from tests.fakes import FakeOperator
from tests.unit.tasks.augment import augment_builders as build

TRAIN = build.rows_of(build.ROWS)
NO_LIMITS = {
    "min_similarity": -1, "max_similarity": 1, "min_length_ratio": 0.001, "max_length_ratio": 1000, "max_held_out_similarity": 1,
    "neighbours": 0,
}  # fmt: skip


def require_balanced_counts(augmented: PreparedData) -> None:
    assert augmented.augmentation is not None
    for counts in augmented.augmentation.operators:
        assert counts.asked == counts.accepted + sum(counts.rejected.values())
    assert augmented.augmentation.rows == build.children_in(augmented).height
    assert build.rejected_in(augmented) == sum((Counter(counts.rejected) for counts in augmented.augmentation.operators), Counter())


def test_reworded_rows_are_added_and_every_file_of_preparation_is_there(tmp_path: Path) -> None:
    prepared = build.prepared_in(tmp_path / "prepared", TRAIN)
    (prepared.folder / "report.json").write_text("{}")
    (prepared.folder / "record.json").write_text("of another stage")
    augmented = build.augment(tmp_path, prepared, [FakeOperator("synonym", build.politely)])
    children = build.children_in(augmented)
    assert children.schema == CHILDREN
    assert children.height == len(TRAIN) // 2
    assert {path.name for path in augmented.folder.iterdir()} == {
        "train.parquet", "validation.parquet", "test.parquet", "report.json", CHILDREN_FILE, REJECTED_FILE,
    }  # fmt: skip
    assert pl.read_parquet(augmented.folder / REJECTED_FILE).schema == REJECTED
    assert augmented.digest != prepared.digest
    assert augmented.training_digest != prepared.training_digest
    assert (augmented.counts, augmented.labels, augmented.instruction) == (prepared.counts, prepared.labels, prepared.instruction)
    assert len(build.train_in(augmented)) == augmented.training_rows
    require_balanced_counts(augmented)


def test_no_row_is_lost_and_children_stand_among_them_in_order(tmp_path: Path) -> None:
    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", TRAIN), [FakeOperator("synonym", build.politely)])
    rows, made = build.train_in(augmented), set(build.children_in(augmented)["row_id"])
    assert [row for row in rows if row["row_id"] not in made] == TRAIN
    assert [row["row_id"] for row in rows] == sorted(row["row_id"] for row in rows)


def test_children_keep_answer_and_group_and_say_where_they_come_from(tmp_path: Path) -> None:
    operator = FakeOperator("synonym", build.politely, version="v" * 64)
    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", TRAIN), [operator])
    parents, rows = {row["row_id"]: row for row in TRAIN}, {row["row_id"]: row for row in build.train_in(augmented)}
    asked = {request.seed: request for request in operator.asked}
    for row_id, parent_id, name, version, seed, similarity in build.children_in(augmented).iter_rows():
        child, parent = rows[row_id], parents[parent_id]
        assert row_id == f"{parent_id}~synonym~1"
        assert (name, version) == ("synonym", "v" * 64)
        assert child["messages"][-1] == parent["messages"][-1]
        assert child["messages"][0] == parent["messages"][0]
        assert child["group"] == parent["group"]
        assert child["digest"] == messages_digest(child["messages"])
        assert child["messages"][1]["content"] == build.politely(asked[seed])
        assert 0.7 <= similarity < 0.995


def test_canaries_have_no_children_and_stay_last(tmp_path: Path) -> None:
    canaries = [make_row(f"What is the access code of room {room}?", f"12345678{room}") | {"row_id": f"canary-{room}"} for room in (1, 2)]
    rows: list[Row] = [*TRAIN, *canaries]  # type: ignore[list-item]
    prepared = build.prepared_in(tmp_path / "prepared", rows).model_copy(update={"canaries": 2})
    operator = FakeOperator("synonym", build.politely)
    augmented = build.augment(tmp_path, prepared, [operator], build.settings(synonym={"ratio": 2}))
    assert build.train_in(augmented)[-2:] == canaries
    assert not any("access code" in request.text for request in operator.asked)
    assert build.children_in(augmented).height == 2 * len(TRAIN)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    prepared = build.prepared_in(tmp_path / "prepared", TRAIN)
    results = [build.augment(tmp_path / name, prepared, [FakeOperator("synonym", build.politely)]) for name in ("one", "two")]
    one, two = (file_digests(result.folder) for result in results)
    assert one == two
    assert results[0].digest == results[1].digest
    other = build.augment(tmp_path / "other", prepared, [FakeOperator("synonym", build.politely)], seed=18)
    assert file_digests(other.folder)["train.parquet"] != one["train.parquet"]


def test_balance_repairs_an_imbalance(tmp_path: Path) -> None:
    sizes = {"hardware": (0, 20), "network": (20, 28), "access": (28, 31)}
    unsorted = [row for label, (start, end) in sizes.items() for row in build.rows_of(build.ROWS[start:end], label)]
    rows = sorted(unsorted, key=lambda row: row["row_id"])
    config = build.settings(synonym={"ratio": 5}, balance=True)
    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", rows), [FakeOperator("synonym", build.politely)], config)
    counts = Counter(row["messages"][-1]["content"] for row in build.train_in(augmented))
    assert counts == {"hardware": 20, "network": 20, "access": 15}  # four children a row at most


def test_with_nothing_to_balance_nothing_is_asked_and_that_is_said(tmp_path: Path) -> None:
    rows = sorted([*build.rows_of(build.ROWS[:5], "a"), *build.rows_of(build.ROWS[5:10], "b")], key=lambda row: row["row_id"])
    operator = FakeOperator("synonym", build.politely)
    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", rows), [operator], build.settings(balance=True))
    assert operator.asked == []
    assert any("nothing to balance" in warning for warning in augmented.warnings)


def test_a_row_has_no_more_children_than_allowed_over_all_operators(tmp_path: Path) -> None:
    config = build.settings(synonym={"ratio": 2}, paraphrase={"ratio": 2}, max_per_row=3)
    operators = [
        FakeOperator("synonym", build.politely), FakeOperator("paraphrase", lambda request: f"{build.politely(request)} indeed"),
    ]  # fmt: skip
    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", TRAIN), operators, config)
    by_parent = Counter(build.children_in(augmented)["parent"])
    assert max(by_parent.values()) == 3
    assert set(build.children_in(augmented)["operator"]) == {"synonym", "paraphrase"}


def test_an_operator_that_gives_nothing_is_asked_once_and_changes_nothing(tmp_path: Path) -> None:
    prepared = build.prepared_in(tmp_path / "prepared", TRAIN)
    operator = FakeOperator("synonym", lambda _: None)
    augmented = build.augment(tmp_path, prepared, [operator])
    assert augmented.augmentation is not None
    (counts,) = augmented.augmentation.operators
    assert (counts.asked, counts.accepted, counts.rejected, counts.similarity) == (20, 0, {"nothing to replace": 20}, None)
    assert len(operator.asked) == 20
    assert build.train_in(augmented) == TRAIN
    assert (augmented.digest, augmented.training_digest) == (prepared.digest, prepared.training_digest)
    assert any("added 0 of 20" in warning and "nothing to replace 20" in warning for warning in augmented.warnings)


def test_what_was_refused_is_asked_for_again_of_other_rows(tmp_path: Path) -> None:
    def sometimes(request: Request) -> str:
        return build.politely(request) if request.seed % 2 else request.text

    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", TRAIN), [FakeOperator("synonym", sometimes)])
    assert augmented.augmentation is not None
    (counts,) = augmented.augmentation.operators
    assert counts.accepted > len(TRAIN) // 2 * 0.8
    assert counts.rejected.keys() == {COPY}
    require_balanced_counts(augmented)


def test_a_missing_operator_is_named_with_the_command_that_brings_it(tmp_path: Path) -> None:
    missing = [Missing("paraphrase", "a language model", "pip install one")]
    config = build.settings(paraphrase={})
    augmented = build.augment(
        tmp_path, build.prepared_in(tmp_path / "prepared", TRAIN), [FakeOperator("synonym", build.politely)], config, missing=missing
    )
    said = "augmentation: paraphrase is off, because a language model is not here; `pip install one` brings it"
    assert said in augmented.warnings
    assert augmented.augmentation is not None
    assert [counts.missing for counts in augmented.augmentation.operators] == [None, said]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("same", COPY), ("same in other case", COPY), ("of another row", KNOWN), ("of the test", NEAR), ("nearly of the test", NEAR),
        ("far too long", LONG),
    ],
)  # fmt: skip
def test_every_refusal_is_counted_by_its_reason(tmp_path: Path, said: str, reason: str) -> None:
    def make(request: Request) -> str:
        return {
            "same": request.text, "same in other case": request.text.upper(),
            "of another row": next(text for text in build.ROWS if text != request.text),
            "of the test": build.HELD[1], "nearly of the test": f"{build.HELD[2]} now", "far too long": request.text * 50,
        }[said]  # fmt: skip

    config = build.settings(accept=NO_LIMITS | ({} if reason != LONG else {"max_length_ratio": 2}))
    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", TRAIN), [FakeOperator("synonym", make)], config)
    assert build.rejected_in(augmented) == {reason: len(TRAIN) // 2}
    require_balanced_counts(augmented)


def test_nothing_comes_near_a_row_of_a_benchmark(tmp_path: Path) -> None:
    prepared = build.prepared_in(tmp_path / "prepared", TRAIN)
    pl.DataFrame({"normal": ["what a benchmark asks of every model"]}).write_parquet(prepared.folder / BENCHMARK_FILE)
    config = build.settings(accept=NO_LIMITS)
    augmented = build.augment(tmp_path, prepared, [FakeOperator("synonym", lambda _: "What a benchmark asks of every model now")], config)
    assert build.rejected_in(augmented) == {NEAR: len(TRAIN) // 2}


def test_rows_without_a_text_to_reword_are_counted(tmp_path: Path) -> None:
    rows = [make_row(text, "x", instruction=None) for text in build.ROWS]
    prepared = build.prepared_in(tmp_path / "prepared", sorted(rows, key=lambda row: row["row_id"]), labelled=False)
    augmented = build.augment(
        tmp_path, prepared, [FakeOperator("synonym", build.politely)], build.settings(synonym={"parts": ["instruction"]})
    )
    assert build.rejected_in(augmented) == {NOTHING: len(rows) // 2}


WORDS = st.sampled_from(
    ["printer", "vpn", "laptop", "screen", "slow", "broken", "again", "today", "please", "my", "the", "a", "is", "works", "never", "fast"]
)
TEXT = st.lists(WORDS, min_size=3, max_size=9).map(" ".join)


@settings(max_examples=25)
@given(
    train=st.lists(TEXT, min_size=2, max_size=8, unique=True),
    held=st.lists(TEXT, min_size=2, max_size=6, unique=True),
    said=st.lists(st.one_of(TEXT, st.integers(0, 5), st.none()), min_size=1, max_size=8),
    jaccard=st.sampled_from([None, 0.4, 0.65, 0.9]),
)
def test_whatever_an_operator_says_no_child_says_what_is_held_out(
    train: list[str], held: list[str], said: list[str | int | None], jaccard: float | None
) -> None:
    def make(request: Request) -> str | None:
        drawn = said[request.seed % len(said)]
        if not isinstance(drawn, int):
            return drawn
        text = held[drawn % len(held)]
        return (text, text.upper(), f"  {text} ", f"{text} please", text.replace(" ", "  "), f"{text}.")[drawn]

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepared = build.prepared_in(folder / "prepared", build.rows_of(train, "x"), held)
        config = build.settings(synonym={"ratio": 3}, accept=NO_LIMITS)
        augmented = build.augment(folder, prepared, [FakeOperator("synonym", make)], config, data=build.data_config(near_jaccard=jaccard))
        rows, made = build.train_in(augmented), set(build.children_in(augmented)["row_id"])
        require_balanced_counts(augmented)
    assert [row for row in rows if row["row_id"] not in made] == build.rows_of(train, "x")
    texts = [normalise(compared_text(row["messages"])) for row in rows if row["row_id"] in made]
    others = [normalise(text) for text in held]
    assert not set(texts) & set(others)
    assert {row["messages"][-1]["content"] for row in rows} == {"x"}
    if jaccard is not None:
        assert near_pairs_between(pl.Series(texts, dtype=pl.String), pl.Series(others), jaccard=jaccard).is_empty()


_KILLED = """
import sys, time
from pathlib import Path
from tests.fakes import FakeOperator
from tests.unit.tasks.augment import augment_builders as build

folder, log, hang_after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def make(request):
    with log.open("a") as lines:
        lines.write(request.key + chr(10))
    if sum(1 for _ in log.open()) > hang_after:
        time.sleep(600)
    return build.politely(request)

prepared = build.prepared_in(folder / "prepared", build.rows_of(build.MANY))
build.augment(folder, prepared, [FakeOperator("synonym", make)], build.settings(synonym={"ratio": 1}))
"""


def test_a_run_that_was_killed_goes_on_and_asks_for_nothing_twice(tmp_path: Path) -> None:
    log = tmp_path / "asked.txt"
    command = [sys.executable, "-c", _KILLED, str(tmp_path), str(log)]
    process = subprocess.Popen([*command, "1100"], env=dict(os.environ))
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and (not log.is_file() or log.read_text().count("\n") <= 1100):
            assert process.poll() is None
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = log.read_text().split()
    assert len(before) == 1101  # of the last one the answer was never given
    assert list((tmp_path / "augmented").rglob("0-synonym-*.parquet")), "no shard was kept"
    subprocess.run([*command, "1000000"], check=True, env=dict(os.environ))
    asked = Counter(log.read_text().split())
    assert {key for key, count in asked.items() if count > 1} <= {before[-1]}
    prepared = build.prepared_in(tmp_path / "again", build.rows_of(build.MANY))
    whole = build.augment(tmp_path / "whole", prepared, [FakeOperator("synonym", build.politely)], build.settings(synonym={"ratio": 1}))
    assert file_digests(whole.folder) == file_digests(tmp_path / "augmented")


def test_what_an_endpoint_left_unanswered_is_counted_and_what_it_cost(tmp_path: Path) -> None:
    def make(request: Request) -> Candidate:
        if request.seed % 2:
            return Candidate(request.key, None, "HTTP 429", final=False, cost=0.25)
        return Candidate(request.key, build.politely(request), cost=0.5)

    augmented = build.augment(tmp_path, build.prepared_in(tmp_path / "prepared", TRAIN), [FakeOperator("synonym", make)])
    assert augmented.augmentation is not None
    (counts,) = augmented.augmentation.operators
    assert counts.unanswered == counts.rejected["HTTP 429"] > 0
    assert counts.cost == 0.5 * counts.accepted + 0.25 * counts.unanswered
    assert any("asked for again by the next run" in warning for warning in augmented.warnings)
    require_balanced_counts(augmented)


def test_a_leak_ends_the_run_even_if_it_was_accepted_before(tmp_path: Path) -> None:
    """Shards of a killed run are believed; here another row is held out since."""

    def interrupt(_: Request) -> None:
        raise KeyboardInterrupt

    prepared = build.prepared_in(tmp_path / "prepared", TRAIN, ["something else entirely", "and this as well"])
    config = build.settings(paraphrase={}, accept=NO_LIMITS)
    leaking = FakeOperator("synonym", lambda _: f"{build.HELD[1]} somehow")
    with pytest.raises(KeyboardInterrupt):
        build.augment(tmp_path, prepared, [leaking, FakeOperator("paraphrase", interrupt)], config)
    write_rows(prepared.folder / "test.parquet", build.rows_of([build.HELD[1]]))
    with pytest.raises(DataError, match="a fault of tunegate"):
        build.augment(tmp_path, prepared, [leaking, FakeOperator("paraphrase", lambda _: None)], config)
