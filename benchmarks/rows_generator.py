"""Makes a table of requests in which every fault is known.

`python -m benchmarks.rows_generator OUT --rows 100000 --seed 1 --form parquet` writes `OUT/rows.parquet` and `OUT/truth.parquet`.

Each row has `row_id`, `instruction`, `input` and `output`, the output being a label. The truth names the rows that are not plain: `row_id`,
`kind`, `of` (the row that it was made from) and `value` (the text that was planted). A kind that starts with `hard_negative:` is a row in
order that looks like the fault. Rows made from the same one are duplicates of each other too; rows whose input is blank are equal by their
nature. Each row is made from the seed and its own number: a duplicate may lie a million rows from its original and memory stays small.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.composing import Request, compose, stream
from benchmarks.faults import FAULTS, HARD_NEGATIVES, PAIRED, Row, plain

Form = Literal["parquet", "jsonl"]

NATURAL_RATES: Mapping[str, float] = {
    "exact_duplicate": 0.05,
    "near_duplicate": 0.05,
    "inconsistent_label": 0.01,
    "mixed_label": 0.01,
    "email": 0.01,
    "phone": 0.01,
    "refusal": 0.005,
    "empty_output": 0.004,
    "ip": 0.004,
    "iban": 0.003,
    "control_characters": 0.003,
    "card": 0.002,
    "national_id": 0.002,
    "whitespace_input": 0.002,
    "control_tokens": 0.001,
    "secret": 0.001,
    "too_long": 0.001,
    "wrong_type": 0.001,
}
"""Share of the rows of each kind: what exports of a help desk show in order of size. Hard negatives are as many again."""

HARD = "hard_negative:"
TEXTS = pl.Schema({name: pl.String() for name in ("row_id", "instruction", "input", "output")})
TRUTH = pl.Schema({name: pl.String() for name in ("row_id", "kind", "of", "value")})

_LEAST_ROWS, _MOST_ROWS = 1_000, 10_000_000
_SHARD = 25_000
_REQUEST, _FAULT = 0, 1
"""Purposes of a row's random numbers, so that the request of a row stays the same whatever fault it gets."""

Marked = tuple[str, str, str | None, str | None]


@dataclass(frozen=True)
class Plan:
    """Which kind each row is (0 is plain, others point into `names`) and which row it is made from (-1 for none)."""

    names: tuple[str, ...]
    kinds: npt.NDArray[np.int16]
    origins: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shard:
    """Consecutive rows, each with its id, and what the truth says of them."""

    rows: list[tuple[str, Row]]
    truth: list[Marked]


def shares(rates: Mapping[str, float]) -> dict[str, float]:
    """Share of every kind, hard negatives with them: those of near duplicates are as many as exact and near ones together.

    Raises:
        ValueError: an unknown kind, a share outside 0 to 1, or less than a fifth of the rows left plain.
    """
    unknown = sorted(set(rates) - set(FAULTS))
    if unknown:
        raise ValueError(f"unknown kind {unknown[0]!r}; expected one of {', '.join(FAULTS)}")
    hard = {kind: rates.get(kind, 0.0) for kind in HARD_NEGATIVES}
    hard["near_duplicate"] += rates.get("exact_duplicate", 0.0)
    every = dict(rates) | {f"{HARD}{kind}": rate for kind, rate in hard.items()}
    if min(every.values()) < 0 or sum(every.values()) > 0.8:
        raise ValueError(f"got shares that add up to {sum(every.values()):.3f}; expected none below 0 and 0.8 at most")
    return every


def plan(rows: int, seed: int, rates: Mapping[str, float]) -> Plan:
    """Spreads the kinds over the table, in exact numbers."""
    every = shares(rates)
    names = ("plain", *every)
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows)
    kinds, origins = np.zeros(rows, dtype=np.int16), np.full(rows, -1, dtype=np.int64)
    counts = [round(rate * rows) for rate in every.values()]
    untouched = order[sum(counts) :]
    for code, places in enumerate(np.split(order[: sum(counts)], np.cumsum(counts)[:-1]), start=1):
        kinds[places] = code
        if names[code].removeprefix(HARD) in PAIRED:
            origins[places] = rng.choice(untouched, len(places))
    return Plan(names, kinds, origins)


def row_id(index: int) -> str:
    """The id of the row with this number."""
    return f"r{index:08d}"


def request_of(seed: int, index: int) -> Request:
    """The request of a row before any fault."""
    return compose(stream(seed, index, _REQUEST))


def shards(rows: int, seed: int, *, form: Form = "jsonl", rates: Mapping[str, float] = NATURAL_RATES) -> Iterator[Shard]:
    """The table, a part at a time. A Parquet column has one type: rows of kind `wrong_type` are plain there."""
    planned = plan(rows, seed, rates)
    if form == "parquet" and "wrong_type" in planned.names:
        planned.kinds[planned.kinds == planned.names.index("wrong_type")] = 0
    for start in range(0, rows, _SHARD):
        yield _shard(planned, seed, range(start, min(start + _SHARD, rows)))


def _shard(planned: Plan, seed: int, indices: Sequence[int]) -> Shard:
    rows: list[tuple[str, Row]] = []
    truth: list[Marked] = []
    part = slice(indices[0], indices[-1] + 1)
    for index, code, origin in zip(indices, planned.kinds[part].tolist(), planned.origins[part].tolist(), strict=True):
        name = row_id(index)
        if code:
            row = _faulty(planned.names[code], seed, index, origin)
            truth.append((name, planned.names[code], row_id(origin) if origin >= 0 else None, row.value or None))
        else:
            row = plain(request_of(seed, index))
        rows.append((name, row))
    return Shard(rows, truth)


def _faulty(kind: str, seed: int, index: int, origin: int) -> Row:
    make = HARD_NEGATIVES[kind.removeprefix(HARD)] if kind.startswith(HARD) else FAULTS[kind]
    own = request_of(seed, index)
    return make(own, request_of(seed, origin) if origin >= 0 else own, stream(seed, index, _FAULT))


def write(folder: Path, rows: int, seed: int, form: Form, rates: Mapping[str, float] = NATURAL_RATES) -> Path:
    """Writes `rows.parquet` or `rows.jsonl`, and `truth.parquet` beside it.

    Returns:
        The file with the rows.

    Raises:
        ValueError: the number of rows or a rate is out of range.
    """
    if not _LEAST_ROWS <= rows <= _MOST_ROWS:
        raise ValueError(f"got {rows} rows; expected {_LEAST_ROWS} to {_MOST_ROWS}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rows.{form}"
    marked: list[pl.DataFrame] = []
    parts = _noting(shards(rows, seed, form=form, rates=rates), marked)
    if form == "jsonl":
        _write_jsonl(path, parts)
    else:
        _write_parquet(path, parts)
    pl.concat(marked).write_parquet(folder / "truth.parquet")
    return path


def _noting(parts: Iterator[Shard], marked: list[pl.DataFrame]) -> Iterator[Shard]:
    """Keeps the truth of each part that passes by."""
    for part in parts:
        marked.append(pl.DataFrame(part.truth, schema=TRUTH, orient="row"))
        yield part


def _write_jsonl(path: Path, parts: Iterator[Shard]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream_out:
        for part in parts:
            for name, row in part.rows:
                record = {"row_id": name, "instruction": row.instruction, "input": row.input, "output": row.output}
                stream_out.write(json.dumps(record, ensure_ascii=False) + "\n")


def _write_parquet(path: Path, parts: Iterator[Shard]) -> None:
    """Each part goes to a file of its own and these are joined as a stream: the whole table is never in memory."""
    pieces: list[Path] = []
    for part in parts:
        pieces.append(path.with_name(f"{path.stem}-{len(pieces):05d}.part"))
        values = [(name, row.instruction, row.input, row.output) for name, row in part.rows]
        pl.DataFrame(values, schema=TEXTS, orient="row").write_parquet(pieces[-1])
    pl.scan_parquet(pieces).sink_parquet(path, maintain_order=True)
    for piece in pieces:
        piece.unlink()


def _rate(text: str) -> tuple[str, float]:
    kind, _, share = text.partition("=")
    return kind, float(share)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows_generator", description="Makes a table in which every fault is known.")
    parser.add_argument("out", type=Path, help="folder for rows.* and truth.parquet")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--form", choices=("parquet", "jsonl"), default="parquet")
    parser.add_argument("--rate", type=_rate, action="append", default=[], metavar="KIND=SHARE", help="another rate for a kind; repeatable")
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    try:
        path = write(given.out, given.rows, given.seed, given.form, {**NATURAL_RATES, **dict(given.rate)})
    except ValueError as error:
        parser.error(str(error))
    seconds = time.perf_counter() - began
    sys.stdout.write(f"{path}: {given.rows} rows in {seconds:.1f} s\n")


if __name__ == "__main__":
    main()
