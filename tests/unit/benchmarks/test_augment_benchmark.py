"""The parts of the augmentation benchmark that reword nothing and train nothing."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.augment import AMOUNTS, BARS, low_data, main, part
from benchmarks.augment_leaks import find_leaks, plain, shingles
from benchmarks.augment_lift import figures_of, lift_of
from benchmarks.augment_one import WITHOUT, Measured, measured_before, result_file
from benchmarks.augment_parts import _slices, _time
from benchmarks.augment_rows import OPERATORS, RememberingEmbedder, only
from benchmarks.methods_one import Size
from benchmarks.results import judge
from tasks.augment.operators import Candidate, Request
from tasks.files import read_json, write_json
from tasks.nearness.near import near_pairs_between

WORDS = [
    "my", "card", "was", "declined", "at", "the", "shop", "and", "i", "do", "not", "know", "why", "please", "help", "me", "with", "a",
    "new", "pin", "for", "it", "today",
]  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANKING77_DIR", str(tmp_path / "banking77"))
    monkeypatch.setenv("TUNEGATE_WORKSPACE", str(tmp_path / "workspace"))


def test_what_says_the_same_is_found_whatever_its_case_spaces_and_widths() -> None:
    found = find_leaks(["WHERE is my  card?", "where is the bank"], ["Where is my card？"], 0.65)
    assert (found.exact, found.near) == (1, 0)


def test_what_nearly_says_the_same_is_near_from_the_threshold_on() -> None:
    child, held = "why was my card declined at the shop", "why was my card declined at this shop"
    shared = len(shingles(child) & shingles(held)) / len(shingles(child) | shingles(held))
    assert find_leaks([child], ["quite another text", held], shared).near == 1
    found = find_leaks([child], ["quite another text", held], shared + 1e-6)
    assert (found.near, found.nearest) == (0, pytest.approx(shared))


def test_it_measures_what_the_pipeline_measures_without_its_code() -> None:
    """The pipeline's search is for similarities, and what it finds has the similarity that is counted here."""
    draw = random.Random(3)
    held = [" ".join(draw.sample(WORDS, 12)) for _ in range(60)]
    children = [" ".join(draw.choice(WORDS) if draw.random() < 0.15 else word for word in text.split()) for text in held]
    theirs = near_pairs_between(pl.Series(children), pl.Series(held), jaccard=0.65)
    both = {
        row: len(shingles(children[row]) & shingles(held[other])) / len(shingles(children[row]) | shingles(held[other]))
        for row, other in theirs.select("row", "held").iter_rows()
    }
    assert 5 < len(both) < 60
    assert list(both.values()) == pytest.approx(theirs["jaccard"].to_list())
    found = find_leaks(children, held, 0.65)
    assert found.exact + found.near == theirs.height


def test_nothing_held_out_is_no_leak() -> None:
    assert find_leaks(["a text"], [], 0.65) == (0, 0, 0.0)
    assert plain("  Ａ\tb ") == "a b"


def measured(arm: str, seed: int, right: str, clusters: Sequence[int] | None = None, **changes: Any) -> Measured:
    values: dict[str, Any] = {
        "arm": arm, "seed": seed, "rows": 616, "children": 0 if arm == WITHOUT else 100, "steps": 234, "right": right,
        "accuracy": right.count("1") / len(right), "clusters": list(clusters or range(len(right))), "seconds": 60.0, "revision": "abc",
    }  # fmt: skip
    return values | changes  # type: ignore[return-value]


PLAIN = "1" * 40 + "0" * 60


def test_a_lift_is_the_mean_over_seeds_with_an_interval_over_rows() -> None:
    better = {17: "1" * 60 + "0" * 40, 18: "1" * 50 + "0" * 50}
    lift = lift_of([measured("synonym", seed, right) for seed, right in better.items()], [measured(WITHOUT, s, PLAIN) for s in better])
    assert lift is not None
    assert lift.value == pytest.approx(0.15)
    assert lift.by_seed == {17: pytest.approx(0.2), 18: pytest.approx(0.1)}
    assert 0 < lift.interval[0] < 0.15 < lift.interval[1] < 0.3


def test_seeds_are_compared_with_their_own() -> None:
    without = [measured(WITHOUT, 17, "0" * 100), measured(WITHOUT, 18, PLAIN)]
    lift = lift_of([measured("synonym", 18, PLAIN)], without)
    assert lift is not None
    assert (lift.value, lift.by_seed) == (0.0, {18: 0.0})
    assert lift_of([measured("synonym", 19, PLAIN)], without) is None


def test_rows_of_one_group_are_no_independent_evidence() -> None:
    def width(clusters: list[int]) -> float:
        lift = lift_of([measured("synonym", 17, "1" * 60 + "0" * 40, clusters)], [measured(WITHOUT, 17, PLAIN, clusters)])
        assert lift is not None
        return lift.interval[1] - lift.interval[0]

    assert width([at // 10 for at in range(100)]) > 1.5 * width(list(range(100)))


def test_other_rows_are_not_compared() -> None:
    assert lift_of([measured("synonym", 17, PLAIN)], [measured(WITHOUT, 17, PLAIN[:-1])]) is None


def test_figures_say_lift_interval_and_seeds_of_each_arm_that_was_measured() -> None:
    arms = {
        WITHOUT: [measured(WITHOUT, 17, PLAIN), measured(WITHOUT, 18, PLAIN)],
        "synonym": [measured("synonym", 17, "1" * 30 + "0" * 70), measured("synonym", 18, PLAIN)],
        "paraphrase": [],
    }
    figures = figures_of(arms)
    assert figures["low_data_without_accuracy"] == pytest.approx(0.4)
    assert figures["low_data_synonym_lift"] == pytest.approx(-0.05)
    assert figures["low_data_synonym_lift_low"] < -0.05 < figures["low_data_synonym_lift_high"]
    assert (figures["low_data_synonym_lift_worst_seed"], figures["low_data_synonym_lift_best_seed"]) == (pytest.approx(-0.1), 0.0)
    assert not [name for name in figures if "paraphrase" in name]


def test_an_arms_result_is_found_by_its_settings_wherever_the_data_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = result_file("synonym", 17, Size.FULL, tmp_path)
    others = {
        result_file(*other, tmp_path) for other in (("synonym", 18, Size.FULL), ("synonym", 17, Size.QUICK), (WITHOUT, 17, Size.FULL))
    }
    assert path not in others
    assert len(others) == 3
    monkeypatch.setenv("BANKING77_DIR", str(tmp_path / "elsewhere"))
    assert result_file("synonym", 17, Size.FULL, tmp_path) == path
    write_json(path, measured("synonym", 17, PLAIN))
    assert measured_before("synonym", 17, Size.FULL, tmp_path) == measured("synonym", 17, PLAIN)
    assert measured_before("synonym", 18, Size.FULL, tmp_path) is None


def test_without_the_data_the_variable_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("BANKING77_DIR")
    assert main([]) == 1
    assert "the environment variable BANKING77_DIR is not set" in capsys.readouterr().err


def test_arms_and_parts_that_were_measured_are_not_measured_again(tmp_path: Path) -> None:
    """There is no data here: a measurement would fail."""
    for arm in (WITHOUT, *OPERATORS):
        write_json(result_file(arm, 17, Size.QUICK, tmp_path), measured(arm, 17, PLAIN))
    arms = low_data(Size.QUICK, tmp_path, tmp_path, [17], measure=True, again=False)
    assert {arm: len(found) for arm, found in arms.items()} == dict.fromkeys((WITHOUT, *OPERATORS), 1)
    assert part("leaks", Size.QUICK, tmp_path, tmp_path, measure=False, again=False) == {"figures": {}, "notes": []}


def test_the_result_has_what_is_there_and_fails_for_what_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "workspace" / "benchmarks" / "augment"
    for arm in (WITHOUT, "synonym"):
        for seed in (17, 18, 19):
            write_json(result_file(arm, seed, Size.QUICK, folder), measured(arm, seed, PLAIN if arm == WITHOUT else "1" * 45 + "0" * 55))
    # `--only` names a part of which there is a result already.
    from tasks.files import sha256_json

    for name, figures in (("speed", {"synonym_rows_per_s": 2500.0}), ("leaks", {"leaked_children": 0.0, "leak_seeds": 20.0})):
        write_json(folder / f"{name}-quick-{sha256_json(AMOUNTS[Size.QUICK])[:12]}.json", {"figures": figures, "notes": [f"{name} note"]})

    assert main(["--quick", "--only", "speed"]) == 1, "Apertium was not measured"

    result = read_json(folder / "augment.json")
    holds = {bar["figure"]: bar["holds"] for bar in result["bars"]}
    assert holds == {"synonym_rows_per_s": True, "apertium_rows_per_s": False, "leaked_children": True, "leak_seeds": True}
    assert result["figures"]["low_data_synonym_lift"] == pytest.approx(0.05)
    assert {"speed note", "leaks note"} <= set(result["notes"])
    assert "low data, synonym: +0.0500 [" in capsys.readouterr().out


def test_a_single_leaked_child_fails() -> None:
    figures = {"synonym_rows_per_s": 1e4, "apertium_rows_per_s": 1e3, "leaked_children": 1.0, "leak_seeds": 20.0}
    assert [bar["figure"] for bar in judge(BARS, figures) if not bar["holds"]] == ["leaked_children"]


class Slow:
    """An operator that knows no word with an `x`."""

    name, version = "synonym", "v"

    def reword(self, requests: Sequence[Request]) -> Iterator[Candidate]:
        for request in requests:
            yield Candidate(request.key, None if "x" in request.text else f"{request.text}!")


def test_speed_counts_every_row_and_says_how_many_came_back() -> None:
    rate, answered = _time(Slow(), ["a", "b", "x", "c"])
    assert rate > 0
    assert answered == 0.75


def test_each_repetition_has_other_rows_as_long_as_there_are_some() -> None:
    assert list(_slices(["a", "b", "c", "d"], 2)) == [["a", "b"], ["c", "d"], ["a", "b"]]


def test_an_operator_is_measured_alone_with_its_defaults() -> None:
    for name in OPERATORS:
        settings = only(name, 2.0)
        assert {each: operator.ratio for each, operator in settings.operators().items()} == {name: 2.0}


@pytest.mark.embedded
def test_vectors_that_are_remembered_are_the_pipelines() -> None:
    from tasks.embeddings import EmbeddedEmbedder

    remembering, texts = RememberingEmbedder(), ["my card", "a new pin", "my card"]
    first = remembering.embed(texts)
    assert first == pytest.approx(EmbeddedEmbedder().embed(texts), abs=1e-6)
    assert (remembering.embed(["a new pin", "my card"]) == first[[1, 0]]).all()
    assert remembering.name == EmbeddedEmbedder().name
