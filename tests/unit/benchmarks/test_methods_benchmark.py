"""The parts of the benchmark of methods that are no measurement."""

from itertools import pairwise
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.methods import BARS, figures_of, measure
from benchmarks.methods_one import SEVEN, Measured, Size, configure, measured_before, result_file, weights_of
from benchmarks.methods_page import NAMES, render_page, render_plot, write_page
from benchmarks.results import judge
from pipeline_config.errors import ConfigError
from pipeline_config.training import TrainingConfig
from tasks.files import write_json

MACHINE: dict[str, str | float] = {"cores": 2, "processor": "a processor"}


@pytest.fixture(autouse=True)
def banking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANKING77_DIR", str(tmp_path / "banking77"))


def measured(method: str = "lora", accuracy: float = 0.7, **changes: Any) -> Measured:
    values = {
        "method": method, "accuracy": accuracy, "base_accuracy": 0.05, "heldout_loss": 0.4, "trainable_parameters": 4_884_480,
        "peak_gib": 2.0, "adapter_mib": 18.7, "seconds": 400.0, "epochs": 2.0, "learning_rate": 2e-4, "train_rows": 2500,
        "test_rows": 3080, "layout": "blocks", "revision": "abc",
    }  # fmt: skip
    return cast(Measured, values | changes)


def test_every_method_has_a_bar_and_a_name() -> None:
    assert {f"{method}_lift" for method in SEVEN} | {"lora_vs_full", "qlora_vs_lora"} == {bar.figure for bar in BARS}
    assert set(SEVEN) == set(NAMES)


def test_lifts_are_over_the_base_and_methods_are_compared_with_one_another() -> None:
    figures = figures_of({"full": measured("full", 0.80), "lora": measured("lora", 0.79), "qlora": measured("qlora", 0.75)})

    assert figures["lora_lift"] == pytest.approx(0.74)
    assert figures["lora_vs_full"] == pytest.approx(-0.01)
    assert figures["qlora_vs_lora"] == pytest.approx(-0.04)
    holds = {bar["figure"]: bar["holds"] for bar in judge(BARS, figures)}
    assert (holds["lora_vs_full"], holds["qlora_vs_lora"]) == (True, False)


def test_a_method_that_was_not_measured_does_not_hold() -> None:
    judged = {bar["figure"]: bar for bar in judge(BARS, figures_of({"lora": measured()}))}

    assert judged["lora_lift"]["holds"]
    assert judged["ia3_lift"]["value"] is judged["lora_vs_full"]["value"] is None


def test_a_method_runs_with_its_defaults_but_for_the_epochs_it_may_have() -> None:
    config = configure("lora", Size.FULL)

    assert config.training.epochs == 2
    assert config.training.lora == TrainingConfig().lora
    assert config.training.per_device_train_batch_size == TrainingConfig().per_device_train_batch_size
    assert (config.data.max_train_rows, config.data.max_test_rows) == (2500, None)


def test_without_the_data_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANKING77_DIR")

    with pytest.raises(ConfigError, match="BANKING77_DIR"):
        configure("lora", Size.FULL)


def test_a_result_is_found_by_its_settings_wherever_the_data_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = result_file("lora", Size.FULL, tmp_path)
    monkeypatch.setenv("BANKING77_DIR", str(tmp_path / "elsewhere"))

    assert result_file("lora", Size.FULL, tmp_path) == path
    assert result_file("lora", Size.QUICK, tmp_path) != path
    assert measured_before("lora", Size.FULL, tmp_path) is None
    write_json(path, measured())
    assert measured_before("lora", Size.FULL, tmp_path) == measured()
    assert measured_before("lora", Size.QUICK, tmp_path) is None


def test_what_was_measured_is_not_measured_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no data here: a measurement would fail."""
    write_json(result_file("lora", Size.FULL, tmp_path), measured(accuracy=0.71))

    assert measure("lora", Size.FULL, tmp_path) == measured(accuracy=0.71)
    assert "measured before" in capsys.readouterr().out


def test_no_result_is_no_method() -> None:
    assert measured_before("no_such_method", Size.FULL, Path("nowhere")) is None


def test_trained_numbers_and_bytes_are_those_of_the_weights_on_disk(tmp_path: Path) -> None:
    save_file({"a": np.zeros((4, 8), np.float32), "b": np.zeros(3, np.float32)}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "tokenizer.json").write_text("{}")

    numbers, size = weights_of(tmp_path)

    assert numbers == 35
    assert size == (tmp_path / "adapter_model.safetensors").stat().st_size


def test_the_page_has_a_row_for_each_method_and_names_those_that_are_missing() -> None:
    page = render_page({"lora": measured(), "ia3": measured("ia3", 0.4, heldout_loss=None)}, MACHINE)

    assert "| LoRA | 0.700 | +0.650 | 0.400 | 4,884,480 | 2.00 GiB | 18.7 MiB | 400 | 2 | 0.0002 |" in page
    assert "| (IA)³ | 0.400 | +0.350 | not finite |" in page
    assert "Not measured: full fine-tuning, QLoRA, prefix tuning, prompt tuning, bottleneck adapters." in page


def test_the_plot_is_drawing_all_methods_inside_its_frame() -> None:
    sizes = {"full": 134_515_008, "lora": 4_884_480, "qlora": 4_884_480, "prefix": 61_440, "prompt": 18_432}
    plot = render_plot({method: measured(method, 0.7, trainable_parameters=size) for method, size in sizes.items()})

    root = ElementTree.fromstring(plot)
    dots = root.findall("{*}circle")
    assert len(dots) == len(sizes)
    assert all(64 <= float(dot.get("cx", "0")) <= 610 and 24 <= float(dot.get("cy", "0")) <= 364 for dot in dots)
    texts = [text.text for text in root.findall("{*}text")]
    assert {NAMES[method] for method in sizes} <= set(texts)
    assert {"10K", "100K", "1M", "100M", "1B"} <= set(texts)


def test_names_of_methods_that_are_alike_do_not_lie_over_each_other() -> None:
    plot = render_plot({method: measured(method) for method in ("lora", "qlora", "adapter")})

    names = [NAMES[method] for method in ("lora", "qlora", "adapter")]
    heights = sorted(float(text.get("y", "0")) for text in ElementTree.fromstring(plot).findall("{*}text") if text.text in names)
    assert all(below - above >= 13 for above, below in pairwise(heights))


def test_nothing_measured_leaves_the_page_as_it_is(tmp_path: Path) -> None:
    assert write_page({}, tmp_path, MACHINE) == []
    assert [path.name for path in write_page({"lora": measured()}, tmp_path, MACHINE)] == ["methods.md", "methods.svg"]
