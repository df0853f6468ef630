"""Presets, files and overrides become one configuration, or one error that lists every fault."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.errors import ConfigError
from pipeline_config.loading import config_digest, load_config, load_over


def faults(*overrides: str, preset: str = "demo", file: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(preset, file, overrides)
    return str(caught.value)


def test_a_file_needs_differences_only(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("data:\n  source:\n    path: rows.csv\n    columns: {instruction: null, input: text, output: label}\n")
    config = load_config("demo", file)
    assert config.data.source.path == str(tmp_path / "rows.csv")
    assert config.data.source.columns.output == "label"
    assert config.training == load_config("demo").training


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("training: {epochs: 7}\n")
    assert load_config("demo", file, ["training.epochs=1"]).training.epochs == 1


def test_a_bare_number_is_short_for_a_gates_threshold() -> None:
    gates = load_config("demo", None, ["gates.min_accuracy=0.9", "gates.my_own=0.5"]).gates
    assert (gates["min_accuracy"].threshold, gates["min_accuracy"].kind) == (0.9, "threshold")
    assert (gates["my_own"].threshold, gates["my_own"].kind) == (0.5, "threshold")
    assert load_config("demo", None, ["gates.not_worse_than_champion=0.02"]).gates["not_worse_than_champion"].kind == "non_inferiority"


def test_a_bare_number_for_a_gate_without_a_threshold_is_told_what_it_may_have() -> None:
    message = faults("gates.no_forgetting=0.05")
    assert "gates.no_forgetting.threshold: unknown key" in message
    assert "max_drop, max_perplexity_ratio" in message


def test_one_field_of_a_gate_can_be_changed() -> None:
    gate = load_config("demo", None, ["gates.min_accuracy.min_rows=7"]).gates["min_accuracy"]
    assert (gate.threshold, getattr(gate, "min_rows", None)) == (0.8, 7)


def test_scientific_notation_is_a_number() -> None:
    assert load_config("demo", None, ["training.learning_rate=1e-4"]).training.learning_rate == 1e-4


def test_trainers_name_for_epochs_is_accepted_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("training: {num_train_epochs: 2, epochs: 1}\n")
    assert "`epochs` and `num_train_epochs` are the same setting" in faults(file=file)


def test_presidio_is_off_unless_it_is_asked_for_and_what_it_finds_cannot_be_masked() -> None:
    assert load_config("demo").data.sensitive.presidio is None
    asked = load_config("demo", None, ["data.sensitive.presidio={entities: [US_SSN]}"]).data.sensitive.presidio
    assert (asked.policy, asked.language, asked.spacy_model) == ("report", "en", None)
    assert load_config("demo", None, ["data.sensitive.presidio.entities=[US_SSN]", "data.sensitive.presidio.policy=fail"])
    message = faults("data.sensitive.presidio={entities: [US_SSN], policy: mask}")
    assert "data.sensitive.presidio.policy: what Presidio finds cannot be masked: the server" in message
    assert "data.sensitive.presidio.entities" in faults("data.sensitive.presidio={entities: []}")


def test_all_faults_are_listed_at_once() -> None:
    message = faults("training.epoch=1", "data.source.colums.input=x", "gates.min_accuracy.treshold=1", "training.seed=-1", "nonsense")
    assert message.startswith("5 faults")
    for part in (
        "training.epoch: unknown key; did you mean `epochs`?",
        "did you mean `columns`?",
        "gates.min_accuracy.treshold: unknown key; did you mean `threshold`?",
        "got -1",
        "'nonsense'",
    ):
        assert part in message


def test_an_unknown_preset_names_the_nearest() -> None:
    assert "did you mean `smoke`?" in faults(preset="smok")


def test_a_missing_file_says_where(tmp_path: Path) -> None:
    assert str(tmp_path / "no.yaml") in faults(file=tmp_path / "no.yaml")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_one_clear_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert str(file) in faults(file=file)


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANKING77_DIR", raising=False)
    assert "the environment variable BANKING77_DIR is not set" in faults(preset="banking77")


def test_auto_approval_is_refused_in_production() -> None:
    assert "`auto` is refused" in faults("environment=production")


@pytest.mark.parametrize("gate", ["no_overfitting", "min_accuracy"])
def test_the_gates_that_guard_production_cannot_be_removed(gate: str) -> None:
    overrides = [f"gates.{gate}=null", "gates.max_perplexity=null"]
    assert "at least one gate of kind" in faults(*overrides)


def test_a_runs_own_configuration_is_whole_and_no_preset_shines_through(tmp_path: Path) -> None:
    stored = load_config("smoke", None, ["gates.beats_base=null", "training.adapter.dropout=0.2"])
    file = tmp_path / "config.json"
    file.write_text(json.dumps(stored.as_json()))
    assert load_config("demo", file) == stored
    assert load_over(file) == stored
    changed = load_over(file, None, ["gates.min_accuracy=0.9", "gates.safe.kind=safety"])
    assert changed.gates["min_accuracy"].threshold == 0.9
    assert set(changed.gates) == {*stored.gates, "safe"}


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("{kind: threshold, metric: acuracy, threshold: 1}", "gates.mine.metric: 'acuracy' is not among evaluation.metrics; did you mean"),
        ("{kind: superiority, metric: politeness}", "'politeness' is not among evaluation.metrics"),
        ("{kind: threshold, metric: perplexity, threshold: 2}", "perplexity is better when lower, so its gate needs `max`"),
        ("{kind: threshold, threshold: 0.9, direction: max}", "accuracy is better when higher, so its gate needs `min`"),
        ("{kind: superiority, metric: latency_ms}", "two models cannot be compared by latency_ms"),
        ("{kind: non_inferiority, metric: length_ratio}", "two models cannot be compared by length_ratio"),
        ("{kind: slices, metric: artifact_mib, threshold: 9, direction: max}", "no slice of the rows can be judged by it"),
        ("{kind: slices, test: non_inferiority, threshold: 0.1, thresholds: {mail: 0}}", "a margin has to be above 0"),
        ("{kind: non_inferiority, threshold: 0}", "gates.mine.threshold"),
    ],
)  # fmt: skip
def test_a_gate_that_could_not_be_judged_is_refused(gate: str, message: str) -> None:
    assert message in faults(f"gates.mine={gate}")


def test_gates_may_name_what_the_configuration_measures_and_nothing_else() -> None:
    listed = "evaluation.metrics=[rouge1, 'shop.measures:politeness', perplexity]"
    gates = load_config("demo", None, [listed, "gates.polite={kind: superiority, metric: politeness}"]).gates
    assert "polite" in gates
    assert "'rouge2' is not among evaluation.metrics; did you mean `rouge1`?" in faults(
        listed, "gates.mine={metric: rouge2, threshold: 0.3}"
    )


def test_nan_is_no_threshold() -> None:
    assert "gates.min_accuracy" in faults("gates.min_accuracy=.nan")


def test_the_digest_follows_every_value() -> None:
    assert config_digest(load_config("demo")) == config_digest(load_config("demo"))
    assert config_digest(load_config("demo")) != config_digest(load_config("demo", None, ["training.seed=18"]))


def test_faults_are_found_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys\nfrom pipeline_config.loading import load_over, load_config\n"
        "try: load_config('demo', None, ['training.epoch=1'])\nexcept Exception: pass\n"
        "print({'torch', 'transformers', 'prefect', 'mlflow', 'polars'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@given(st.text(max_size=40))
def test_any_override_is_a_configuration_or_a_clear_error(text: str) -> None:
    try:
        load_config("demo", None, [text])
    except ConfigError as error:
        assert "fault" in str(error)
