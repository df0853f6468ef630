from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline_config.errors import ConfigError
from pipeline_config.evaluation import EvaluationConfig
from pipeline_config.gates import KNOWN_METRICS
from pipeline_config.loading import load_config
from pipeline_config.metric_names import METRIC_NAMES, short_name
from tasks.evaluate.metric_kinds import METRICS, choose_metrics, kind_of, tasks_of

JUDGE = {"url": "http://127.0.0.1:9/v1", "model": "m"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metrics": ["rogue1"]}, "did you mean `rouge1`"),
        ({"metrics": ["package.module"]}, "or `package.module:NAME`"),
        ({"metrics": ["rouge1", "rouge1"]}, "rouge1 would be measured twice"),
        ({"metrics": ["a.b:polite", "c.d:polite"]}, "polite would be measured twice"),
        ({"metrics": ["a.b:bleu"]}, "bleu is the name of a built-in metric"),
        ({"metrics": ["json_schema"]}, "needs the schema"),
        ({"metrics": ["judge"]}, "whom to ask"),
        ({"judge": {**JUDGE, "url": "file:///etc/passwd"}}, "url"),
        ({"judge": {**JUDGE, "api_key": "sk-1"}}, "api_key"),
        ({"judge": {**JUDGE, "api_key_variable": "sk-1 "}}, "api_key_variable"),
    ],
)
def test_a_metric_that_could_not_be_measured_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EvaluationConfig.model_validate(values)


def test_slices_are_built_in_or_columns_that_are_kept() -> None:
    overrides = ["data.source.slice_columns=[tier]", "evaluation.slices=[label, tier]"]
    assert load_config("smoke", None, overrides).evaluation.slices == ("label", "tier")
    with pytest.raises(ConfigError, match=r"evaluation\.slices: tier is none of label, length, language, source"):
        load_config("smoke", None, overrides[1:])
    with pytest.raises(ConfigError, match="`source` has a meaning already"):
        load_config("smoke", None, ["data.source.slice_columns=[source]"])


def test_a_schema_is_a_mapping_or_a_file_beside_the_one_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("evaluation: {json_schema: answer.json}\n")
    assert load_config("smoke", file).evaluation.json_schema == str(tmp_path / "answer.json")
    assert load_config("smoke", None, ["evaluation.json_schema={type: object}"]).evaluation.json_schema == {"type": "object"}


def test_every_name_has_a_kind() -> None:
    assert set(METRICS) == set(METRIC_NAMES)
    assert all(kind.name == name for name, kind in METRICS.items())
    assert {name: kind.better for name, kind in METRICS.items()} == KNOWN_METRICS, "gates know them by a table of their own"


def test_a_custom_metric_is_known_where_it_was_measured() -> None:
    kind = kind_of("polite", {"polite": "lower"})
    assert kind is not None
    assert (kind.family, kind.better) == ("mean", "lower")
    assert kind_of("polite", {}) is None
    assert kind_of("bleu", {}) is METRICS["bleu"]


@pytest.mark.parametrize(
    ("labels", "expected", "has_schema", "tasks"),
    [
        (("a", "b"), ["a", "b"], False, {"labels"}),
        (None, ["Please restart it.", "{}"], False, {"text"}),
        (None, ['{"queue": 1}', " {} "], False, {"json"}),
        (None, ["[1]", "{}"], False, {"text"}),
        (None, ["anything"], True, {"json"}),
        (('{"a": 1}', '{"a": 2}'), ['{"a": 1}', '{"a": 2}'], False, {"labels", "json"}),
        (None, [], False, {"text"}),
    ],
)
def test_the_task_is_told_from_the_answers(labels: tuple[str, ...] | None, expected: list[str], has_schema: bool, tasks: set[str]) -> None:
    assert tasks_of(labels, expected, has_schema=has_schema) == tasks


def test_what_is_measured_follows_from_the_task() -> None:
    config = EvaluationConfig()
    assert choose_metrics(config, frozenset({"labels"})) == (
        "accuracy", "macro_f1", "perplexity", "eos_rate", "latency_ms", "artifact_mib",
    )  # fmt: skip
    text, answers = choose_metrics(config, frozenset({"text"})), choose_metrics(config, frozenset({"json"}))
    assert {"bleu", "chrf", "rougeLsum", "exact_match", "length_ratio"} < set(text)
    assert "json_valid" in answers
    assert {"bleu", "json_schema", "judge", "macro_f1"}.isdisjoint(answers)


def test_what_is_configured_is_measured_besides() -> None:
    config = EvaluationConfig.model_validate({"json_schema": {}, "judge": JUDGE})
    assert {"json_schema", "judge"} < set(choose_metrics(config, frozenset({"json"})))


def test_a_list_of_metrics_holds_and_accuracy_comes_with_it() -> None:
    config = EvaluationConfig.model_validate({"metrics": ["rouge1", "my.own:polite"]})
    assert choose_metrics(config, frozenset({"labels"})) == ("accuracy", "rouge1", "polite")
    assert short_name("my.own:polite") == "polite"
