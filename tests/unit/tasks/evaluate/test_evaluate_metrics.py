import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF
from sklearn.metrics import accuracy_score, f1_score

from pipeline_config.errors import EvaluationError
from tasks.artifacts import Figures
from tasks.evaluate.metric_kinds import METRICS
from tasks.evaluate.metrics import Accuracy, StopsByItself, compute
from tasks.evaluate.outcomes import per_row_correct
from tasks.evaluate.perplexity import RowLoss, perplexity_of
from tasks.evaluate.sheets import Measured, Scheme, Sheet, measure_sheet

LABELS = ["access", "hardware", "network", "printing"]
WORDS = [
    "the",
    "vpn",
    "drops",
    "hourly,",
    "please",
    "restarting",
    "restarted",
    "router",
    "and",
    "tell",
    "us",
    "it",
    "helped.",
    "Thanks!\nBest",
]
ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")


def measured(expected: list[str], answers: list[str], *wanted: str, scratch: Path, labelled: bool = True, **known: Any) -> Measured:
    return measure_sheet(Sheet(expected, answers, **known), Scheme(wanted or ("accuracy", "macro_f1"), labelled), scratch)


def replies(rows: int = 200) -> tuple[list[str], list[str]]:
    """Expected replies and answers that share some words with them; a few are empty, equal, or of several lines."""
    chance = random.Random(7)
    expected = [" ".join(chance.choices(WORDS, k=chance.randint(4, 40))) for _ in range(rows)]
    answers = [" ".join(word for word in text.split(" ") if chance.random() < 0.7) + " ok" * chance.randint(0, 3) for text in expected]
    answers[0], answers[1] = "", expected[1]
    return expected, answers


def test_figures_of_labels_are_those_of_scikit_learn(tmp_path: Path) -> None:
    chance = random.Random(3)
    expected = [chance.choice(LABELS) for _ in range(200)]
    answers = [chance.choice([wanted, *LABELS, "something else", ""]) for wanted in expected]
    figures = measured(expected, answers, scratch=tmp_path).figures
    assert figures.get("accuracy") == pytest.approx(accuracy_score(expected, answers), abs=1e-6)
    assert figures.get("macro_f1") == pytest.approx(f1_score(expected, answers, labels=LABELS, average="macro"), abs=1e-6)


def test_bleu_and_chrf_are_those_of_sacrebleu_and_say_how_they_were_computed(tmp_path: Path) -> None:
    expected, answers = replies()
    found = measured(expected, answers, "bleu", "chrf", scratch=tmp_path)
    bleu, chrf = BLEU(), CHRF()
    assert found.figures.get("bleu") == pytest.approx(bleu.corpus_score(answers, [expected]).score, abs=1e-6)
    assert found.figures.get("chrf") == pytest.approx(chrf.corpus_score(answers, [expected]).score, abs=1e-6)
    assert found.signatures == {"bleu": str(bleu.get_signature()), "chrf": str(chrf.get_signature())}
    alone = [chrf.sentence_score(answer, [wanted]).score for wanted, answer in zip(expected, answers, strict=True)]
    assert found.rows["chrf"] == pytest.approx(alone, abs=1e-6)
    assert 5 < found.figures.values["bleu"] < 95  # type: ignore[operator]


def test_rouge_is_the_mean_of_rouge_score(tmp_path: Path) -> None:
    expected, answers = replies()
    found = measured(expected, answers, *ROUGE, scratch=tmp_path)
    scores = [RougeScorer(ROUGE).score(wanted, answer) for wanted, answer in zip(expected, answers, strict=True)]
    for name in ROUGE:
        assert found.rows[name] == pytest.approx([score[name].fmeasure for score in scores], abs=1e-6)
        assert found.figures.get(name) == pytest.approx(sum(score[name].fmeasure for score in scores) / 200, abs=1e-6)
    assert found.figures.get("rougeL") != found.figures.get("rougeLsum"), "no answer has several lines, and the test tells them not apart"


def test_perplexity_weighs_tokens_and_not_rows(tmp_path: Path) -> None:
    chance = random.Random(5)
    tokens = [[chance.expovariate(1.0) for _ in range(chance.randint(1, 30))] for _ in range(200)]
    losses = [RowLoss(sum(row), len(row)) for row in tokens]
    every = [loss for row in tokens for loss in row]
    found = measured(["a"] * 200, ["a"] * 200, "perplexity", scratch=tmp_path, losses=losses)
    assert found.figures.get("perplexity") == pytest.approx(math.exp(sum(every) / len(every)), abs=1e-6)
    assert found.rows["loss"] == [loss.nats for loss in losses]
    assert found.rows["loss_tokens"] == [loss.tokens for loss in losses]


@pytest.mark.parametrize("nats", [math.nan, math.inf, 1e6])
def test_perplexity_that_is_no_finite_number_is_null(nats: float, tmp_path: Path) -> None:
    found = measured(["a", "b"], ["a", "b"], "perplexity", scratch=tmp_path, losses=[RowLoss(1.0, 1), RowLoss(nats, 1)])
    assert found.figures.get("perplexity") is None
    assert found.rows["loss"] == [1.0, nats if math.isfinite(nats) else None]


def test_perplexity_of_a_loss() -> None:
    assert perplexity_of(math.log(7)) == pytest.approx(7)
    assert [perplexity_of(loss) for loss in (None, math.nan, math.inf, 1e4)] == [None] * 4


def test_macro_f1_averages_over_labels_of_the_test_rows_and_counts_other_answers_as_misses(tmp_path: Path) -> None:
    # a: 2 of 2 found, no false alarm, F1 1. b: 1 of 2 found, F1 2/3. "c" is no label of the test rows: it only misses.
    figures = measured(["a", "a", "b", "b"], ["a", "a", "b", "c"], scratch=tmp_path).figures
    assert figures.get("macro_f1") == pytest.approx((1 + 2 / 3) / 2)


def test_what_has_no_meaning_or_was_not_handed_in_is_null(tmp_path: Path) -> None:
    wanted = ("accuracy", "macro_f1", "json_schema", "eos_rate", "perplexity", "judge", "latency_ms", "artifact_mib")
    figures = measured(["a"], ["a"], *wanted, scratch=tmp_path, labelled=False).figures
    assert figures == Figures(values={"accuracy": 1.0} | dict.fromkeys(wanted[1:]))


def test_only_what_is_wanted_is_measured(tmp_path: Path) -> None:
    found = measured(["a"], ["a"], "accuracy", "rouge2", scratch=tmp_path)
    assert set(found.figures.values) == {"accuracy", "rouge2"} == set(found.rows)


def test_only_the_whole_stripped_answer_in_the_same_case_is_right() -> None:
    answers = ["VPN", " VPN\n", "vpn", "VPN please", ""]
    assert per_row_correct(["VPN"] * 5, answers) == [True, True, False, False, False]


def test_answers_are_json_or_are_not_and_fit_the_schema_or_do_not(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["queue"], "properties": {"queue": {"enum": LABELS}}}
    answers = [
        '{"queue": "network"}',
        ' {"queue": "vpn"}\n',
        '{"queue"',
        "null",
        '{"queue": NaN}',
        '```json\n{"queue": "network"}\n```',
        "",
    ]
    sheet = Sheet([json.dumps({"queue": "network"})] * 7, answers)
    found = measure_sheet(sheet, Scheme(("json_valid", "json_schema"), labelled=False, schema=schema), tmp_path)
    assert found.rows == {"json_valid": [1, 1, 0, 1, 0, 0, 0], "json_schema": [1, 0, 0, 0, 0, 0, 0]}
    assert found.figures == Figures(values={"json_valid": 3 / 7, "json_schema": 1 / 7})


def test_stops_length_latency_size_and_verdicts_are_taken_from_the_sheet(tmp_path: Path) -> None:
    wanted = ("eos_rate", "length_ratio", "latency_ms", "artifact_mib", "judge")
    known = {
        "stopped": [True, False, True, True],
        "milliseconds": [None, 12.0, 13.0, None],
        "artifact_mib": 3.0,
        "judged": [1.0, None, 0.5, None],
    }
    found = measured(["ab", "abcd", "", "a"], ["ab", "ab ", "x", ""], *wanted, scratch=tmp_path, labelled=False, **known)
    assert found.rows == {
        "eos_rate": [1, 0, 1, 1], "length_ratio": [1, 0.5, None, 0], "judge": [1.0, None, 0.5, None],
        "latency_ms": [None, 12.0, 13.0, None],
    }  # fmt: skip
    assert found.figures == Figures(values={"eos_rate": 0.75, "length_ratio": 0.5, "latency_ms": 12.5, "artifact_mib": 3.0, "judge": 0.75})


def test_every_metric_with_rows_gives_a_number_a_row_and_no_other_does(tmp_path: Path) -> None:
    known = {"stopped": [True], "losses": [RowLoss(1.0, 2)], "judged": [1.0], "milliseconds": [9.0]}
    scheme = Scheme(tuple(METRICS), labelled=True, schema={})
    found = measure_sheet(Sheet(["a"], ["a"], **known), scheme, tmp_path)  # type: ignore[arg-type]
    assert set(found.rows) - {"loss", "loss_tokens"} == {name for name, kind in METRICS.items() if kind.has_rows}


@settings(deadline=None, max_examples=20)  # the library is slow to set up
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, "?"])), min_size=1, max_size=50), st.randoms())
def test_figures_do_not_depend_on_the_order_of_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], chance: Any
) -> None:
    folder = tmp_path_factory.mktemp("metrics")
    names = ("accuracy", "macro_f1", "bleu", "rougeL")
    first, second = (
        measured([row[0] for row in order], [row[1] for row in order], *names, scratch=folder).figures
        for order in (rows, chance.sample(rows, len(rows)))
    )
    assert [first.get(name) for name in names] == pytest.approx([second.get(name) for name in names])


def test_the_library_makes_its_folders_where_it_is_told_and_not_under_the_home(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    measured(["a", "b"], ["a", "b"], scratch=scratch)
    assert {folder.name for folder in scratch.iterdir()} == {"accuracy", "macro_f1"}
    assert [path for path in scratch.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("expected", "answers", "message"),
    [
        ([], [], "0 answers to 0 rows"),
        (["a"], [], "0 answers to 1 rows"),
        (["a", "b"], ["a", None], "None"),
        (["a", "b"], ["a", 1], "got 1"),
    ],
)
def test_refuses_what_the_library_would_let_pass(expected: list[str], answers: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=message):
        compute(Accuracy, answers, expected, tmp_path)


def test_metrics_of_other_things_than_texts_refuse_missing_values_too(tmp_path: Path) -> None:
    assert compute(StopsByItself, [True, False], [True, False], tmp_path)["eos_rate"] == 0.5
    with pytest.raises(EvaluationError, match="None"):
        compute(StopsByItself, [True, None], [True, False], tmp_path)
