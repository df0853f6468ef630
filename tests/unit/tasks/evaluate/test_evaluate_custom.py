import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline_config.errors import ConfigError, EvaluationError
from pipeline_config.evaluation import EvaluationConfig
from tasks.evaluate.custom import better_of, code_of, load_metric, require_metrics, score_rows

Writes = Callable[[str], str]
_numbers = itertools.count()

POLITE = """
def polite(answer, expected, prompt):
    return answer.count("please") / max(expected.count("please"), 1) + 10 * len(prompt)
"""


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writes:
    """Puts source into a new importable module, and gives its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> str:
        name = f"metrics_of_a_user_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


def test_a_function_of_another_package_scores_each_row(write_module: Writes) -> None:
    metric = f"{write_module(POLITE)}:polite"
    prompts = [[{"role": "user", "content": "vpn"}]] * 2
    assert score_rows(metric, ["please", "x"], ["please please", "no"], prompts) == [12.0, 10.0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        (POLITE, "kind", "has no attribute 'kind'"),
        ("import nothing_of_this_name\n", "polite", "ModuleNotFoundError"),
        ("1 / 0\n", "polite", "ZeroDivisionError"),
        ("polite = 3\n", "polite", "is a int"),
        ("class polite:\n    pass\n", "polite", "is a type"),
        ("def polite(answer): return 1.0\n", "polite", "cannot be called"),
        ("def polite(answer, expected, prompt, mode): return 1.0\n", "polite", "cannot be called"),
        (f"{POLITE}polite.better = 'more'\n", "polite", "better = 'more'"),
    ],
)
def test_what_is_no_metric_is_refused_up_front(source: str, name: str, message: str, write_module: Writes) -> None:
    config = EvaluationConfig(metrics=("accuracy", f"{write_module(source)}:{name}"))
    with pytest.raises(ConfigError, match=message) as caught:
        require_metrics(config)
    assert "evaluation.metrics" in str(caught.value)


def test_a_module_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no metric 'nothing_of_this_name:polite'"):
        load_metric("nothing_of_this_name:polite")


@pytest.mark.parametrize("result", ["'high'", "None", "float('nan')", "float('inf')"])
def test_a_result_that_is_no_finite_number_is_an_error_of_its_row(result: str, write_module: Writes) -> None:
    source = f"def polite(answer, expected, prompt):\n    return {result} if answer == 'b' else True\n"
    with pytest.raises(EvaluationError, match="got ") as caught:
        score_rows(f"{write_module(source)}:polite", ["x", "x"], ["a", "b"], [[], []])
    assert "metric polite, test row 1" in str(caught.value)


def test_what_a_metric_raises_is_said_with_the_row(write_module: Writes) -> None:
    name = write_module("def polite(answer, expected, prompt):\n    return answer[0]\n")
    with pytest.raises(EvaluationError, match="IndexError") as caught:
        score_rows(f"{name}:polite", ["x"], [""], [[]])
    assert "nothing is generated twice" in str(caught.value)


def test_a_metric_says_which_way_is_better(write_module: Writes) -> None:
    names = [write_module(POLITE), write_module(f"{POLITE}polite.better = 'lower'\n")]
    assert [better_of(load_metric(f"{name}:polite")) for name in names] == ["higher", "lower"]


def test_other_code_is_another_metric(write_module: Writes) -> None:
    one, same, other = (write_module(source) for source in (POLITE, POLITE, POLITE.replace("10", "11")))
    digests = [code_of(f"{name}:polite") for name in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]


def test_a_callable_object_may_be_a_metric(write_module: Writes) -> None:
    name = write_module("class Polite:\n    def __call__(self, *, answer, expected, prompt): return 0.5\npolite = Polite()\n")
    assert score_rows(f"{name}:polite", ["x"], [""], [[]]) == [0.5]
    assert len(code_of(f"{name}:polite")) == 64


def test_the_judges_key_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = {"url": "http://127.0.0.1:9/v1", "model": "m", "api_key_variable": "KEY_OF_THE_JUDGE"}
    config = EvaluationConfig.model_validate({"judge": judge})
    monkeypatch.delenv("KEY_OF_THE_JUDGE", raising=False)
    with pytest.raises(ConfigError, match="KEY_OF_THE_JUDGE is not set"):
        require_metrics(config)
    monkeypatch.setenv("KEY_OF_THE_JUDGE", "secret")
    require_metrics(config)
