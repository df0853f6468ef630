"""Files as they come: `tunegate validate` takes them, quarantines rows, or refuses with one error. No stack trace, no lost row."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from deployments.cli.validate import validate
from pipeline_config.data import ChecksConfig, ColumnMapping, DataConfig, SourceConfig, SplitConfig
from pipeline_config.gates import OverfittingGate, ThresholdGate
from pipeline_config.model import ModelConfig
from pipeline_config.pipeline import PipelineConfig
from pipeline_config.registry import RegistryConfig
from tests.builders import tiny_base


class Verdict(NamedTuple):
    """How the command ended: exit code, what it said, codes in quarantine, and rows read."""

    code: int
    said: str
    quarantined: list[str]
    read: int


Validate = Callable[[Path], Verdict]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelConfig:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def run(model: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Validate:
    monkeypatch.setenv("TUNEGATE_WORKSPACE", str(tmp_path / "workspace"))

    def validated(source: Path) -> Verdict:
        columns = ColumnMapping(instruction=None, input="text", output="label")
        data = DataConfig(
            source=SourceConfig(path=str(source), columns=columns, instruction="Name the queue."),
            split=SplitConfig(near_jaccard=None), checks=ChecksConfig(near_duplicate_jaccard=None, embedded_rows=0), max_bad_fraction=0.3,
        )  # fmt: skip
        gates = {
            "accuracy": ThresholdGate(kind="threshold", metric="accuracy", threshold=0.5),
            "overfitting": OverfittingGate(kind="overfitting", threshold=1.2),
        }
        code = validate(PipelineConfig(environment="local", data=data, model=model, gates=gates, registry=RegistryConfig(approval="auto")))
        said = capsys.readouterr()
        files = list((tmp_path / "workspace" / "validate").glob("*/quarantine.parquet"))
        rows = pl.read_parquet(files[0])["code"].to_list() if files else []
        counts = [int(cell.split("│")[2]) for cell in said.out.splitlines() if cell.startswith("│ read ")]
        assert "Traceback" not in said.out + said.err
        return Verdict(code, said.out + said.err, rows, counts[0] if counts else 0)

    return validated


def rows(count: int = 40) -> list[dict[str, object]]:
    return [{"text": f"ticket {number} about {number * 7919}", "label": ("mail", "vpn")[number % 2]} for number in range(count)]


def jsonl(*records: dict[str, object]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def csv(end: bytes = b"\n") -> bytes:
    return b"".join(f"{line}".encode() + end for line in ["text,label", *[f"{row['text']},{row['label']}" for row in rows()]])


def refused(verdict: Verdict, *words: str) -> None:
    assert verdict.code == 3, verdict.said
    assert verdict.said.count("data refused:") == 1
    for word in words:
        assert word in verdict.said


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_an_empty_file(run: Validate, tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    refused(run(tmp_path / name), "the file is empty", name)


def test_a_header_without_rows(run: Validate, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n")
    refused(run(tmp_path / "a.csv"), "the file has no rows")


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + csv(), csv(b"\r\n")], ids=["byte order mark", "carriage returns"])
def test_what_spreadsheets_write(run: Validate, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    verdict = run(tmp_path / "a.csv")
    assert (verdict.code, verdict.read, verdict.quarantined) == (0, 40, [])


def test_nul_bytes_in_a_text(run: Validate, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(*rows(), {"text": "a\x00b", "label": "vpn"}))
    verdict = run(tmp_path / "a.jsonl")
    assert (verdict.code, verdict.read, verdict.quarantined) == (0, 41, ["CONTROL_CHARACTERS"])


def test_nul_bytes_in_the_file(run: Validate, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(*rows()) + b"\x00\x00\x00\n" + jsonl({"text": "last", "label": "vpn"}))
    verdict = run(tmp_path / "a.jsonl")
    assert (verdict.code, verdict.read, verdict.quarantined) == (0, 42, ["UNREADABLE_LINE"])


@pytest.mark.slow
def test_a_line_of_ten_megabytes(run: Validate, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(*rows(), {"text": "x" * 10_000_000, "label": "vpn"}))
    verdict = run(tmp_path / "a.jsonl")
    assert (verdict.code, verdict.read, verdict.quarantined) == (0, 41, ["TOO_LONG"])


def test_a_truncated_gzip_file(run: Validate, tmp_path: Path) -> None:
    packed = gzip.compress(jsonl(*rows()))
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    refused(run(tmp_path / "a.jsonl.gz"), "a.jsonl.gz", "cannot be read")


def test_a_truncated_parquet_file(run: Validate, tmp_path: Path) -> None:
    pl.DataFrame(rows()).write_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: len(content) // 2])
    refused(run(tmp_path / "a.parquet"), "a.parquet", "cannot be read")


def test_values_of_mixed_types(run: Validate, tmp_path: Path) -> None:
    odd: list[dict[str, object]] = [{"text": 7, "label": "vpn"}, {"text": ["a"], "label": "vpn"}, {"text": "b", "label": {"x": 1}}]
    (tmp_path / "a.jsonl").write_bytes(jsonl(*rows(), *odd))
    verdict = run(tmp_path / "a.jsonl")
    assert (verdict.code, verdict.read, verdict.quarantined) == (0, 43, ["NOT_TEXT"] * 3)


def test_ids_that_are_there_twice_are_no_ids_of_ours(run: Validate, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(*[row | {"id": 1, "row_id": "same"} for row in rows()]))
    verdict = run(tmp_path / "a.jsonl")
    assert (verdict.code, verdict.read, verdict.quarantined) == (0, 40, [])


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_labels_that_are_not_a_number(run: Validate, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    if form == "jsonl":
        path.write_bytes(jsonl(*rows()) + b'{"text": "x", "label": NaN}\n')
        expected = ["NOT_TEXT"]
    else:
        pl.DataFrame([*rows(), {"text": "x", "label": None}]).write_parquet(path)
        expected = ["EMPTY_OUTPUT"]
    verdict = run(path)
    assert (verdict.code, verdict.read, verdict.quarantined) == (0, 41, expected)


def test_a_column_of_nan_labels(run: Validate, tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a", "b"], "label": [float("nan"), 1.0]}).write_parquet(tmp_path / "a.parquet")
    refused(run(tmp_path / "a.parquet"), "NOT_TEXT 2")


def test_text_that_is_not_utf_8(run: Validate, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv() + "café zu,mail\n".encode("latin-1"))
    verdict = run(tmp_path / "a.csv")
    assert (verdict.code, verdict.read, verdict.quarantined) == (0, 41, ["UNREADABLE_LINE"])


def test_a_loop_of_links(run: Validate, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(jsonl(*rows()))
    (folder / "again").symlink_to(folder)
    verdict = run(folder)
    assert (verdict.code, verdict.read, verdict.quarantined) == (0, 40, [])


def test_a_link_to_itself(run: Validate, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "a.jsonl")
    refused(run(tmp_path / "a.jsonl"), "a.jsonl")
