"""The environments of the peers: which versions, and when one counts as made."""

import re
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.peers import PEERS, folder_of, is_ready, main, python_of
from pipeline_config.errors import ServiceError

ROOT = Path(__file__).parents[3]


def versions(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines), "a line that pins no version that any index has"
    return {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines)}


LISTS = {name: versions(ROOT / "benchmarks" / "peers" / f"{name}.txt") for name in PEERS}


def test_trl_runs_on_the_very_libraries_that_we_run_on() -> None:
    lock = versions(ROOT / "requirements.lock")

    shared = LISTS["trl"].keys() & lock.keys()

    assert {"torch", "transformers", "peft", "accelerate", "datasets", "numpy"} <= shared
    assert {name: (LISTS["trl"][name], lock[name]) for name in shared if LISTS["trl"][name] != lock[name]} == {}


@pytest.mark.parametrize("name", sorted(PEERS))
def test_what_breaks_beside_a_cpu_torch_is_left_out(name: str) -> None:
    assert LISTS[name].keys() & {"torchvision", "torchaudio", "torchcodec", "triton"} == set()
    assert [package for package in LISTS[name] if package.startswith("nvidia")] == []
    assert LISTS[name]["torch"] == "2.13.0"


def made(name: str, monkeypatch: pytest.MonkeyPatch, workspace: Path) -> Path:
    """An environment's marker, as if it had been made."""
    monkeypatch.setenv("TUNEGATE_WORKSPACE", str(workspace))
    folder_of(name).mkdir(parents=True)
    marker = folder_of(name) / ".ready"
    marker.write_text(peers._digest(name))
    return marker


def test_a_made_environment_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    marker = made("trl", monkeypatch, tmp_path)
    before = marker.stat().st_mtime_ns

    assert main(["trl"]) == 0
    assert capsys.readouterr().out == "peers: trl: is there\n"
    assert marker.stat().st_mtime_ns == before
    assert python_of("trl") == tmp_path / "peers" / "trl" / "bin" / "python"


def test_an_environment_of_other_versions_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("trl", monkeypatch, tmp_path).write_text(peers._digest("llamafactory"))

    assert not is_ready("trl")


def test_a_missing_environment_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEGATE_WORKSPACE", str(tmp_path))

    with pytest.raises(ServiceError) as caught:
        python_of("llamafactory")

    assert (caught.value.where, caught.value.hint) == ("llamafactory", "make peers")
