"""Scores of every row, slices, tables of labels, and what answers give away."""

import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from pipeline_config.errors import EvaluationError
from tasks.evaluate.classes import class_table, confusion_table
from tasks.evaluate.corpus_scores import row_statistics
from tasks.evaluate.decisions import count_decisions
from tasks.evaluate.safety import count_given_away
from tasks.evaluate.scores import score_table
from tasks.evaluate.slices import slice_columns, thirds
from tasks.files import write_json
from tasks.rows import TEST_COLUMNS, Message
from tests.builders import make_row

LABELS = ["access", "hardware", "network"]
ROWS = [
    make_row(text, "network") for text in ("vpn", "the printer on the second floor is broken again", "le réseau ne marche pas du tout ici")
]


def drawn(rows: int = 60, seed: int = 1) -> tuple[list[str], list[str]]:
    chance = random.Random(seed)
    expected = [chance.choice(LABELS) for _ in range(rows)]
    return expected, [chance.choice([wanted, *LABELS, "no label"]) for wanted in expected]


def test_scores_have_a_line_for_each_row_with_its_cluster_and_slices() -> None:
    slices = pl.DataFrame({"slice.length": ["short", "long", None]})
    table = score_table(ROWS, {"base": {"accuracy": [0.0, 1.0, None]}, "tuned": {"loss": [1.5, 2.0, 0.1]}}, slices)
    assert table.columns == ["row_id", "cluster", "base.accuracy", "tuned.loss", "slice.length"]
    assert table["row_id"].to_list() == [row["row_id"] for row in ROWS]
    assert table["cluster"].to_list() == [row["group"] for row in ROWS]
    assert table["base.accuracy"].to_list() == [0.0, 1.0, None]
    assert table.schema["base.accuracy"] == table.schema["tuned.loss"] == pl.Float64


def test_rows_are_divided_by_label_length_language_source_and_columns_that_were_kept(tmp_path: Path) -> None:
    ids = [row["row_id"] for row in ROWS]
    kept = pl.DataFrame({"row_id": ids[::-1], "source": ["b.csv", "a.csv", "a.csv"], "tier": ["gold", None, "free"]})
    kept.write_parquet(tmp_path / TEST_COLUMNS)
    table = slice_columns(None, ROWS, ["network ", "b", "c"], labelled=True, folder=tmp_path)
    assert table.to_dict(as_series=False) == {
        "slice.label": ["network", "b", "c"], "slice.length": ["short", "long", "middle"], "slice.language": ["unknown", "en", "fr"],
        "slice.source": ["a.csv", "a.csv", "b.csv"], "slice.tier": ["free", None, "gold"],
    }  # fmt: skip


def test_what_is_not_there_is_left_out_if_it_is_built_in_and_refused_otherwise(tmp_path: Path) -> None:
    table = slice_columns(("source", "label", "length"), ROWS, ["a", "b", "c"], labelled=False, folder=tmp_path)
    assert table.columns == ["slice.length"]
    with pytest.raises(EvaluationError, match="cannot be divided by tier"):
        slice_columns(("tier",), ROWS, ["a", "b", "c"], labelled=False, folder=tmp_path)


@pytest.mark.parametrize(
    ("lengths", "names"),
    [
        ([3, 1, 2], ["long", "short", "middle"]),
        ([5, 5, 5], ["short"] * 3),
        ([1, 1, 1, 9], ["short"] * 3 + ["long"]),
        ([7], ["short"]),
        ([], []),
    ],
)
def test_rows_of_one_length_are_in_one_third(lengths: list[int], names: list[str]) -> None:
    assert thirds(lengths) == names


def test_the_table_of_classes_is_that_of_scikit_learn() -> None:
    expected, answers = drawn()
    table = class_table(expected, {"base": answers[::-1], "tuned": answers}).filter(pl.col("contender") == "tuned")
    precision, recall, f1, rows = precision_recall_fscore_support(expected, answers, labels=LABELS, zero_division=0)
    assert table["label"].to_list() == LABELS
    assert table["rows"].to_list() == list(rows)
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert table[name].to_list() == pytest.approx(list(values), abs=1e-12)


def test_a_label_that_nobody_answers_has_no_precision() -> None:
    table = class_table(["a", "b"], {"tuned": ["a", "a"]})
    assert table.select("precision", "recall", "f1").rows() == [(0.5, 1.0, 2 / 3), (None, 0.0, 0.0)]


def test_the_confusion_matrix_is_that_of_scikit_learn() -> None:
    expected, answers = drawn()
    table = confusion_table(expected, {"tuned": answers})
    counts = {(wanted, given): rows for _, wanted, given, rows in table.iter_rows()}
    matrix = confusion_matrix(expected, answers, labels=LABELS)
    assert [[counts.get((wanted, given), 0) for given in LABELS] for wanted in LABELS] == matrix.tolist()
    assert sum(counts.values()) == 60
    assert any(given is None for _, given in counts)


@pytest.mark.parametrize("metric", ["bleu", "chrf", "macro_f1"])
def test_figures_of_chosen_rows_come_from_sums_of_their_statistics(metric: str) -> None:
    expected, answers = (
        drawn() if metric == "macro_f1" else ([" ".join(text) for text in zip(*[iter(side)] * 4, strict=True)] for side in drawn(400))
    )
    statistics = row_statistics(metric, expected, answers)
    chance = np.random.default_rng(0)
    chosen = chance.integers(0, len(expected), size=(3, len(expected)))
    chosen[0] = np.arange(len(expected))
    # Without any row that expects the first row's answer, though some are answered so.
    chosen[1] = chance.choice([at for at, wanted in enumerate(expected) if wanted != expected[0]], size=len(expected))
    figures = statistics.score(statistics.table[chosen].sum(axis=1))
    for line, figure in zip(chosen, figures, strict=True):
        wanted, given = [expected[at] for at in line], [answers[at] for at in line]
        reference = {
            "bleu": lambda: BLEU().corpus_score(given, [wanted]).score,  # noqa: B023
            "chrf": lambda: CHRF().corpus_score(given, [wanted]).score,  # noqa: B023
            "macro_f1": lambda: f1_score(wanted, given, labels=sorted(set(wanted)), average="macro", zero_division=0),  # noqa: B023
        }[metric]()
        assert figure == pytest.approx(reference, abs=1e-9)
    assert statistics.figure() == pytest.approx(figures[0])


def asked(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def test_what_an_answer_gives_away_is_counted_once_an_answer_and_kind() -> None:
    answers = ["Write to bob@corp.example or amy@corp.example.", "Call +49 30 901820 or mail eve@corp.example.", "Nothing here.", ""]
    found = count_given_away(answers, ["x"] * 4, [asked("vpn")] * 4)
    assert (found["email"], found["phone"], found["any"], found["answers"]) == (2, 1, 2, 4)
    assert found["secret"] == found["iban"] == 0


@pytest.mark.parametrize(
    ("expected", "prompt"),
    [("Mail bob@corp.example, please", "vpn"), ("x", "I am Bob@Corp.example"), ("x", "bob@corp.example is gone")],
)
def test_what_stands_in_the_prompt_or_is_expected_is_not_given_away(expected: str, prompt: str) -> None:
    assert count_given_away(["Ask bob@corp.example"], [expected], [asked(prompt)])["any"] == 0
    assert count_given_away(["Ask eve@corp.example"], [expected], [asked(prompt)])["any"] == 1


def test_a_number_in_other_groups_is_the_same_number() -> None:
    known = asked("my card is 4111-1111-1111-1111")
    assert count_given_away(["Your card 4111 1111 1111 1111 is blocked."], ["x"], [known])["any"] == 0
    assert count_given_away(["Your card 4111 1111 1111 1111 is blocked."], ["x"], [asked("my card")])["card"] == 1


def test_what_tools_were_told_is_known() -> None:
    call: Message = {"role": "assistant", "content": "", "tool_calls": '[{"name": "mail", "arguments": {"to": "bob@corp.example"}}]'}
    assert count_given_away(["I wrote to bob@corp.example."], ["x"], [[*asked("write"), call]])["any"] == 0


def store_evaluation(workspace: Path, key: str, digest: str | None, row_ids: list[str]) -> None:
    folder = workspace / "store" / "evaluate" / key
    folder.mkdir(parents=True)
    pl.DataFrame({"row_id": row_ids, "expected": row_ids}).write_parquet(folder / "predictions.parquet")
    write_json(folder / "record.json", {"record": {"tuned_digest": digest} if digest else {}, "files": {}})


def test_other_artifacts_on_half_of_the_same_rows_or_more_have_decided_before(tmp_path: Path) -> None:
    rows = [f"row {n}" for n in range(10)]
    assert count_decisions(tmp_path, rows, "mine") == 0
    store_evaluation(tmp_path, "a", "one", rows)
    store_evaluation(tmp_path, "b", "one", rows)  # once more, of the same artifact
    store_evaluation(tmp_path, "c", "two", [*rows[:5], "new 1", "new 2"])
    store_evaluation(tmp_path, "d", "three", [*rows[:4], "new 1", "new 2"])
    store_evaluation(tmp_path, "e", "mine", rows)
    store_evaluation(tmp_path, "f", None, rows)
    assert count_decisions(tmp_path, rows, "mine") == 2


def test_an_unfinished_evaluation_has_decided_nothing(tmp_path: Path) -> None:
    (tmp_path / "store" / "evaluate" / "a").mkdir(parents=True)
    assert count_decisions(tmp_path, ["row"], "mine") == 0


@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=30), st.randoms())
def test_macro_f1_of_rows_does_not_depend_on_their_order(expected: list[str], chance: random.Random) -> None:
    answers = [chance.choice([*LABELS, "?"]) for _ in expected]
    order = chance.sample(range(len(expected)), len(expected))
    shuffled = row_statistics("macro_f1", [expected[at] for at in order], [answers[at] for at in order])
    assert shuffled.figure() == pytest.approx(row_statistics("macro_f1", expected, answers).figure())
