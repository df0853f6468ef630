import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deployments.cli.main import main
from deployments.cli.options import split_overrides
from pipeline_config.loading import config_digest, load_config
from tests.machines import free_ports

PORTS = ("TUNEGATE_PREFECT_PORT", "TUNEGATE_MLFLOW_PORT", "TUNEGATE_SERVER_PORT")
HEAVY = ("torch", "transformers", "prefect", "mlflow", "sklearn", "datasets", "polars", "fastapi")


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def tunegate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process: what it means, without the third of a second that an interpreter takes to start."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("TUNEGATE_WORKSPACE", str(tmp_path))
    for name, port in zip(PORTS, free_ports(3), strict=True):
        monkeypatch.setenv(name, str(port))

    def run(*arguments: str, **variables: str) -> Done:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["tunegate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_the_console_script_ends_with_the_code_and_the_one_message_of_a_fault(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("tunegate")
    environment = {**os.environ, "TUNEGATE_WORKSPACE": str(tmp_path), "MLFLOW_TRACKING_URI": "sqlite:///here.db"}
    done = subprocess.run([script, "status"], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.count("is not the address of a server") == 1
    assert "Traceback" not in done.stderr


def heavy_modules_after(*commands: Sequence[str]) -> list[str]:
    """Runs commands one after the other in a fresh interpreter; returns which heavy modules they imported."""
    code = f"""
import json, sys
from deployments.cli.main import main
for arguments in {list(map(list, commands))!r}:
    sys.argv = ["tunegate", *arguments]
    try:
        main()
    except SystemExit:
        pass
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_nothing_heavy_is_imported_for_help_faults_and_questions() -> None:
    commands = (["--help"], ["run", "--help"], ["run", "--set", "training.epohcs=1"], ["config", "show"], ["status"])
    assert heavy_modules_after(*commands) == []


@pytest.mark.parametrize("command", [["run"], ["validate"], ["config", "show"]])
def test_every_fault_of_the_configuration_is_listed_and_the_exit_code_is_2(command: list[str], tunegate: Run, tmp_path: Path) -> None:
    done = tunegate(*command, "--preset", "smoke", "--set", "training.epohcs=1 data.max_train_rows=0")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: 2 faults in the configuration:\n")
    assert "training.epohcs: unknown key; did you mean `epochs`?" in done.stderr
    assert "data.max_train_rows" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "services").exists()


def test_a_missing_file_is_a_fault_of_the_configuration(tunegate: Run, tmp_path: Path) -> None:
    done = tunegate("config", "show", "--config", str(tmp_path / "missing.yaml"))

    assert done.returncode == 2
    assert "missing.yaml" in done.stderr


def test_a_port_that_is_none_is_a_fault_of_the_configuration(tunegate: Run) -> None:
    done = tunegate("status", TUNEGATE_MLFLOW_PORT="many")

    assert done.returncode == 2
    assert "TUNEGATE_MLFLOW_PORT='many'" in done.stderr


def test_another_deliberate_error_is_printed_once_and_exits_with_1(tunegate: Run) -> None:
    done = tunegate("status", MLFLOW_TRACKING_URI="sqlite:///here.db")

    assert done.returncode == 1
    assert done.stderr.count("is not the address of a server") == 1
    assert "Traceback" not in done.stderr


def test_status_says_what_is_down_and_exits_with_1(tunegate: Run) -> None:
    done = tunegate("status")

    assert done.returncode == 1
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        [n, "down"] for n in ("prefect", "mlflow", "model-server", "worker", "approvals")
    ]


def test_down_with_nothing_running_is_fine(tunegate: Run) -> None:
    done = tunegate("down")

    assert (done.returncode, done.stderr) == (0, "no service was running\n")


def test_config_show_prints_what_a_run_would_use(tunegate: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("training: {learning_rate: 0.002}\n")

    done = tunegate("config", "show", "--preset", "smoke", "--config", str(file), "--set", "training.epochs=1")

    expected = load_config("smoke", file, ["training.epochs=1"])
    assert done.returncode == 0
    assert done.stdout.startswith(f"# digest: {config_digest(expected)}\n")
    assert yaml.safe_load(done.stdout) == expected.as_json()
    assert (expected.training.learning_rate, expected.training.epochs) == (0.002, 1)


def test_config_show_says_what_was_mapped_what_is_unusual_and_what_null_means(tunegate: Run) -> None:
    done = tunegate("config", "show", "--preset", "smoke", "--set", "training.warmup_ratio=0.3 training.weight_decay=0")

    comments = [line for line in done.stdout.splitlines() if line.startswith("#")]
    assert any(line.startswith("# note: training.warmup_ratio is taken as training.warmup_steps = 0.3") for line in comments)
    assert any(line.startswith("# note: training.warmup_steps is 0.3; usual is 0 to 0.2: ") for line in comments)
    assert comments[-1].startswith("# lora trains with learning_rate 0.002, epochs 2, warmup_steps 0.3, ")


def test_an_unknown_option_is_named(tunegate: Run) -> None:
    done = tunegate("run", "--presett", "smoke")

    assert done.returncode == 2
    assert "--presett" in done.stderr


def test_several_overrides_fit_in_one_text() -> None:
    assert split_overrides(["training.epochs=1 gates.min_accuracy=0.8", "training.seed=3"]) == [
        "training.epochs=1",
        "gates.min_accuracy=0.8",
        "training.seed=3",
    ]


def test_a_value_may_contain_spaces() -> None:
    assert split_overrides(["data.source.instruction=Route this ticket. training.seed=3"]) == [
        "data.source.instruction=Route this ticket.",
        "training.seed=3",
    ]


def test_no_overrides_are_none() -> None:
    assert split_overrides(None) == split_overrides([""]) == []


_keys = st.from_regex(r"[a-z_]+(\.[a-z_]+){0,2}", fullmatch=True)
_values = st.lists(st.from_regex(r"[A-Za-z0-9,.:{}\[\]-]+", fullmatch=True), min_size=1, max_size=3).map(" ".join)


@given(st.lists(st.tuples(_keys, _values), min_size=1, max_size=4))
def test_overrides_joined_by_spaces_come_apart_again(pairs: list[tuple[str, str]]) -> None:
    overrides = [f"{key}={value}" for key, value in pairs]

    assert split_overrides([" ".join(overrides)]) == overrides
