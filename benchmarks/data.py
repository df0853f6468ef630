"""The benchmark of data preparation: time, memory, what it finds, and how its row checks compare with pandas and pandera.

`make bench-data` writes `benchmarks/results/data.json` and fails if a bar does not hold. `BANKING77_DIR` names the folder with Banking77's
train.csv and test.csv. Tables go to `benchmarks/data` in the workspace.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

from benchmarks.data_preparation import Cost, embedded_template, generated, measure
from benchmarks.data_recall import (
    SCHEMA_KINDS,
    Counted,
    add_up,
    count_exact,
    count_faults,
    count_near,
    count_pairs,
    read_pairs,
    read_truth,
)
from benchmarks.results import Bar, Peer, as_lines, exit_code, result_of, versions_of, write_result
from pipeline_config.data import ColumnMapping, DataConfig, SensitiveConfig, SourceConfig
from pipeline_config.environment import read_machine
from tasks.embeddings import EmbeddedEmbedder

ROOT = Path(__file__).parent.parent
SEED = 1
LARGE, SMALL, UNPACKING = 1_000_000, 100_000, 1_000
RECALL_ROWS = 50_000
RECALL_RATE = 0.02
"""Share of each kind of fault that is rare in nature: with 1,000 of each, 0.99 is told from 0.98."""
INSTRUCTION = "Name the one label that fits the message."
"""One for all rows, as a table of labels has it: only then does a blank input leave nothing to ask."""
ALTERNATIONS = 3
TICKETS = 1_000

_GIB = 2**30

BARS = (
    Bar("seconds", "<=", 360),
    Bar("peak_gib", "<=", 4),
    Bar("cost_per_row_growth", "<=", 1.3),
    Bar("bytes_per_row", "<=", 1024),
    Bar("speed_vs_pandas_pandera", ">=", 3),
    *(Bar(f"recall_{name}", ">=", 0.99) for name in ("exact", "schema", "secrets", "card", "iban")),
    *(Bar(f"precision_{name}", ">=", 0.9) for name in ("exact", "schema", "secrets", "card", "iban")),
    Bar("recall_near", ">=", 0.95),
    Bar("near_precision", ">=", 0.95),
    Bar("recall_paraphrase_leak", ">=", 0.85),
    Bar("paraphrase_precision", ">=", 0.8),
    Bar("false_quarantine_banking77", "<=", 0.005),
    Bar("false_quarantine_samples", "<=", 0.005),
)

NOTES = (
    f"Tables: benchmarks.rows_generator, seed {SEED}, natural rates, Parquet, {LARGE} and {SMALL} rows; default settings, but "
    "max_bad_fraction 0.9; the embedded model's tokenizer.",
    "seconds is the whole process, start and imports included; cost_per_row_growth compares prepare_data alone, so that start-up does not "
    "flatter it; peak_gib is the process's ru_maxrss.",
    f"Planted faults: {RECALL_ROWS} rows, JSON Lines, one constant instruction, rare kinds raised to {RECALL_RATE:.0%} each. A row counts "
    "only under its own code, a hard negative under any. Precision is against as many hard negatives as faults.",
    "Near duplicates: found if in one group with their original or another row made from it, or removed as one of these.",
    "Paraphrases: each text is looked for among all others, as preparation does. The figures alone judge each pair on its own. "
    "Low word overlap would tell these pairs apart as well; of the hard pairs it would not, as they have both kinds both ways. Half of the "
    "first file chose the constants. helpdesk_flagged: half of the sample's tickets against the other, where hardly any says the same.",
    "pandas and pandera: text columns of Arrow strings, expressions that Arrow can run itself, pandera's pandas backend, lazy=True, "
    "vectorised checks; check digits only in rows that an expression picks. In memory, alternating with ours in one process, medians of "
    f"{ALTERNATIONS}; both look for national identifiers.",
)


def main() -> int:
    """Runs everything, writes the result, prints the bars and returns the exit code."""
    folder = read_machine().workspace / "benchmarks" / "data"
    shutil.rmtree(folder, ignore_errors=True)
    figures: dict[str, float] = {}
    peers: dict[str, Peer] = {}
    for name, part in _parts(folder, peers).items():
        began = time.perf_counter()
        figures |= part()
        sys.stdout.write(f"{name}: {time.perf_counter() - began:.0f} s\n")
        sys.stdout.flush()
    result = result_of("data", figures, BARS, peers=peers, notes=NOTES)
    sys.stdout.write("\n".join([*as_lines(result), str(write_result(result))]) + "\n")
    return exit_code(result)


def _parts(folder: Path, peers: dict[str, Peer]) -> dict[str, Callable[[], dict[str, float]]]:
    """Processes of their own come first, while this one is small: a process starts with its parent's peak of memory."""
    return {
        "cost": lambda: measure_cost(folder),
        "recall": lambda: measure_recall(folder / "recall"),
        "speed": lambda: measure_speed(folder / str(SMALL), peers),
        "paraphrases": measure_paraphrases,
        "false quarantine": measure_false_quarantine,
    }


def measure_cost(folder: Path) -> dict[str, float]:
    """Time and memory of two sizes, after a first one that unpacks the embedded model."""
    costs: dict[int, Cost] = {}
    for rows in (UNPACKING, SMALL, LARGE):
        _generate(folder / str(rows), rows, "parquet")
        costs[rows] = measure(folder / str(rows) / "rows.parquet", folder / str(rows) / "prepared")
    return cost_figures(costs[SMALL], costs[LARGE])


def cost_figures(small: Cost, large: Cost) -> dict[str, float]:
    """What the bars ask of the costs of a small and a large table."""
    return {
        "rows": large["rows"],
        "seconds": large["process_seconds"],
        "seconds_small": small["process_seconds"],
        "rows_per_second": large["rows"] / large["seconds"],
        "peak_gib": large["peak_bytes"] / _GIB,
        "peak_gib_small": small["peak_bytes"] / _GIB,
        "cost_per_row_growth": (large["seconds"] / large["rows"]) / (small["seconds"] / small["rows"]),
        "bytes_per_row": (large["peak_bytes"] - small["peak_bytes"]) / (large["rows"] - small["rows"]),
    }


def measure_recall(folder: Path) -> dict[str, float]:
    """What is found of each kind of planted fault."""
    from tasks.data.sources import Source

    rare = ("secret", "card", "iban", *SCHEMA_KINDS)
    _generate(folder, RECALL_ROWS, "jsonl", *(f"--rate={kind}={RECALL_RATE}" for kind in rare))
    source, prepared = folder / "rows.jsonl", folder / "prepared"
    measure(source, prepared, INSTRUCTION)
    shards = Source(generated(source, INSTRUCTION).source, None).shards()
    lines = pl.concat(shard.select("row_id", "line") for shard in shards)
    truth = read_truth(folder)
    duplicates = pl.read_parquet(prepared / "duplicates.parquet")
    groups = pl.read_parquet(prepared / "split.parquet").join(lines, on="row_id").select("line", "group")
    counted = count_faults(truth, pl.read_parquet(prepared / "quarantine.parquet"))
    return recall_figures(counted, count_exact(truth, duplicates), count_near(truth, duplicates, groups))


def recall_figures(counted: dict[str, Counted], exact: Counted, near: Counted) -> dict[str, float]:
    """Recall and precision by kind, and of all faults of form together."""
    named = {"exact": exact, "schema": add_up(counted[kind] for kind in SCHEMA_KINDS), "secrets": counted["secret"]}
    named |= {kind: counted[kind] for kind in ("card", "iban", *SCHEMA_KINDS)}
    figures = {f"recall_{name}": found.recall for name, found in named.items()}
    figures |= {f"precision_{name}": found.precision for name, found in named.items()}
    return figures | {"recall_near": near.recall, "near_precision": near.precision}


def measure_speed(folder: Path, peers: dict[str, Peer]) -> dict[str, float]:
    """Seconds of the row checks, ours and the peer's in turn."""
    from benchmarks import data_peer
    from tasks.data.schema import find_faults
    from tasks.data.sensitive import screen
    from tasks.data.sources import Source

    table = pl.concat(Source(generated(folder / "rows.parquet").source, None).shards())
    frame = table.select("row_id", "file", "line", "instruction", "input", "output").to_pandas()
    frame = frame.astype({name: data_peer.TEXT for name in frame.columns if name != "line"})
    schema, policies = data_peer.row_schema(), SensitiveConfig()

    def ours() -> None:
        find_faults(table, one_instruction=False)
        screen(table, policies)

    seconds = alternate(ours, lambda: data_peer.find_faults(frame, schema))
    faults = pl.DataFrame(data_peer.places_of(data_peer.find_faults(frame, schema), frame), schema={"line": pl.Int64, "code": pl.String})
    figures = {"row_checks_seconds": seconds[1], **peer_figures(count_faults(read_truth(folder), faults))}
    peers["pandas with pandera"] = {"version": versions_of("pandas", "pandera", "pyarrow"), "figures": figures}
    return {"row_checks_seconds": seconds[0], "speed_vs_pandas_pandera": seconds[1] / seconds[0]}


def peer_figures(counted: dict[str, Counted]) -> dict[str, float]:
    """How much the peer finds of what both take out: its speed is worth as much as that."""
    named = {"secrets": counted["secret"], "card": counted["card"], "iban": counted["iban"]}
    recalls = {f"recall_{name}": found.recall for name, found in named.items()}
    return recalls | {f"precision_{name}": found.precision for name, found in named.items()}


def alternate(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of each, run in turn."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(ALTERNATIONS):
        for run, seconds in zip((ours, theirs), taken, strict=True):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
    return median(taken[0]), median(taken[1])


def measure_paraphrases() -> dict[str, float]:
    """Pairs of one meaning in other words, and of two meanings in much the same words: each pair on its own, and looked for among all."""
    from tasks.data.meaning import SAME, find_overlap, score_pairs

    embedder = EmbeddedEmbedder()
    figures: dict[str, float] = {}
    for file, suffix in (("paraphrases.jsonl", ""), ("paraphrases_hard.jsonl", "_hard")):
        texts, others, same = read_pairs(Path(__file__).parent / file)
        overlap = find_overlap(texts, embedder.embed(texts), others, embedder.embed(others), embedder)
        alone = count_pairs(same, np.flatnonzero(score_pairs(texts, others, embedder) >= SAME).tolist())
        among_all = count_pairs(same, overlap.filter(pl.col("row") == pl.col("held"))["row"].to_list())
        figures |= {
            f"recall_paraphrase_leak{suffix}": among_all.recall,
            f"paraphrase_precision{suffix}": among_all.precision,
            f"recall_paraphrase_alone{suffix}": alone.recall,
            f"paraphrase_precision_alone{suffix}": alone.precision,
        }
    return figures | {"helpdesk_flagged": measure_flagged(embedder)}


def measure_flagged(embedder: EmbeddedEmbedder) -> float:
    """Share of half of 1,000 tickets of the sample that are matched with one of the other half: most of them should not be."""
    from tasks.data.meaning import find_overlap

    path = ROOT / "pipeline_config" / "samples" / "helpdesk_routing.jsonl"
    distinct = sorted(set(pl.read_ndjson(path)["input"].drop_nulls()), key=lambda text: hashlib.sha256(text.encode()).digest())
    tickets, held = distinct[: TICKETS // 2], distinct[TICKETS // 2 : TICKETS]
    return find_overlap(tickets, embedder.embed(tickets), held, embedder.embed(held), embedder).height / len(tickets)


def measure_false_quarantine() -> dict[str, float]:
    """Share of the rows of sound data that the row checks take out."""
    samples = sorted((ROOT / "pipeline_config" / "samples").glob("*.jsonl"))
    figures = {"false_quarantine_samples": quarantined_share([SourceConfig(path=path) for path in samples])}
    if folder := os.environ.get("BANKING77_DIR"):
        columns = ColumnMapping(instruction=None, input="text", output="category")
        banking = SourceConfig(
            path=Path(folder) / "train.csv", test_path=Path(folder) / "test.csv", columns=columns, instruction=INSTRUCTION
        )
        figures["false_quarantine_banking77"] = quarantined_share([banking])
    return figures


def quarantined_share(sources: list[SourceConfig]) -> float:
    """Share of the rows that the checks of single rows take out, with default settings."""
    read = kept = 0
    for source in sources:
        for before, after in _checked(source):
            read, kept = read + before, kept + after
    return 1 - kept / read


def _checked(source: SourceConfig) -> Iterator[tuple[int, int]]:
    """Rows of each shard before and after the checks."""
    from tasks.data.quarantine import Quarantine
    from tasks.data.rowchecks import RowChecks
    from tasks.data.sources import Source

    data = DataConfig(source=source)
    shards = list(Source(source, None).shards())
    one = pl.concat(shards)["instruction"].drop_nulls().n_unique() <= 1
    checks = RowChecks(data, embedded_template(), Quarantine(Path(os.devnull), limit=1), one_instruction=one)
    for shard in shards:
        yield shard.height, checks.check(shard).height


def _generate(folder: Path, rows: int, form: str, *options: str) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.rows_generator",
        str(folder),
        f"--rows={rows}",
        f"--seed={SEED}",
        f"--form={form}",
        *options,
    ]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    sys.exit(main())
