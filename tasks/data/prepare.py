"""Preparation as a pure function: source files in, rows fit for training and measuring out."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from pipeline_config.data import DataConfig
from pipeline_config.errors import DataError
from tasks.artifacts import PreparedData, RowCounts
from tasks.data.assignments import ASSIGNMENTS
from tasks.data.canaries import canaries
from tasks.data.chats import with_digests, with_messages
from tasks.data.deduplicate import add_keys
from tasks.data.fates import INDEX, Fates, decide
from tasks.data.paraphrases import Embedder
from tasks.data.quarantine import Quarantine
from tasks.data.reporting import Outcome, build_report, warnings_of, write_report
from tasks.data.rowchecks import RowChecks
from tasks.data.sources import Source
from tasks.data.split import SIDES, SPLIT
from tasks.data.spool import SourceRows, Spool
from tasks.data.template import ChatTemplate
from tasks.rows import BENCHMARK_FILE, SCHEMA, TEST_COLUMNS, write_table
from tasks.stages import SCRATCH

_SPOOLED = ("row_id", "file", "line", "instruction", "input", "output", "turns", "digest", "normal", "kept")
"""What is kept on disk of a row that is fit."""


def prepare_data(
    data: DataConfig, *, template: ChatTemplate, folder: Path, recorded: pl.DataFrame | None = None, embedder: Embedder | None = None
) -> PreparedData:
    """Reads, checks, deduplicates and splits the rows of a source, and writes them to a folder.

    `labels` are the distinct answers of the rows kept, sorted, or null where answers are free text (`tasks.data.labels`). `instruction` is
    the system turn that all rows kept share, or null. Rows are sorted by id. The result depends neither on the order of the source's rows
    nor on time.

    Args:
        template: what rows have to fit.
        folder: gets the files of `tasks.artifacts.PreparedData`; `quarantine.parquet` is there even if the data is refused.
        recorded: sides of texts in earlier runs (`tasks.data.assignments.ASSIGNMENTS`); null: none.
        embedder: makes sentence embeddings (`tasks.embeddings`); null: rows are not compared by meaning.

    Raises:
        DataError: the source cannot be read, too many rows are unfit, there is one class only, or a side is empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _scratch(folder) as scratch:
        source = Source(data.source, data.split.group_column)
        rows = SourceRows(source.shards(), data.source.labels, scratch / "read")
        quarantine = Quarantine(folder, limit=data.max_bad_fraction)
        checks = RowChecks(data, template, quarantine, one_instruction=rows.one_instruction)
        spool, parts = _check(rows.spool, checks, scratch / "sound")
        considered = rows.read - rows.unselected
        quarantine.close(considered)
        fates = decide(parts, spool, data, pl.DataFrame(schema=ASSIGNMENTS) if recorded is None else recorded, quarantine)
        quarantine.close(considered)
        fates.duplicates.write_parquet(folder / "duplicates.parquet")
        counts = _count(rows, fates, quarantine)
        require_balance(counts)
        _require_every_side(counts, groups=fates.split["group"].n_unique())
        fates.split.select(*SPLIT).write_parquet(folder / "split.parquet")
        if data.split.benchmark_paths:
            pl.DataFrame({"normal": fates.benchmark.unique().sort()}).write_parquet(folder / BENCHMARK_FILE)
        prepared = _write_sides(data, folder, fates, spool, counts)
        _write_test_columns(folder / TEST_COLUMNS, fates, spool, data.source.slice_columns)
        outcome = Outcome(spool, fates, counts, quarantine, checks.kept(), source.format, prepared.digest)
        report = build_report(data, outcome, template=template, embedder=embedder)
        write_report(folder, report)
        return prepared.model_copy(update={"warnings": warnings_of(report)})


def _count(rows: SourceRows, fates: Fates, quarantine: Quarantine) -> RowCounts:
    sides = fates.kept("side")["side"]
    return RowCounts(
        read=rows.read,
        **{side: int((sides == side).sum()) for side in SIDES},
        quarantined=len(quarantine),
        duplicates=fates.duplicates.height,
        unselected=rows.unselected,
        set_aside=fates.split.height - len(sides),
    )


def require_balance(counts: RowCounts) -> None:
    """Every row that was read has exactly one fate.

    Raises:
        DataError: the numbers do not add up; that is a fault of this program.
    """
    fates = counts.model_dump(exclude={"read"})
    if counts.read != sum(fates.values()):
        raise DataError(
            f"{counts.read} rows were read, but {sum(fates.values())} are accounted for",
            where=", ".join(f"{name} {count}" for name, count in fates.items()),
            expected="one fate for each row read",
            hint="this is a fault of tunegate, not of the data: please report it",
        )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    scratch = folder / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _check(source: Spool, checks: RowChecks, folder: Path) -> tuple[Spool, list[pl.DataFrame]]:
    """The fit rows on disk, and what memory holds of them (`tasks.data.fates.INDEX`), part by part."""
    spool, parts = Spool(folder), []
    for shard in source:
        sound = add_keys(with_digests(checks.check(shard))).sort("row_id")
        spool.add(sound.select(_SPOOLED))
        parts.append(sound.select(INDEX).with_columns(pl.col("file").cast(pl.Categorical)))
    return spool, parts


def _require_every_side(counts: RowCounts, *, groups: int) -> None:
    empty = [side for side in SIDES if getattr(counts, side) == 0]
    if empty:
        raise DataError(
            f"no {' and no '.join(empty)} rows: train {counts.train}, validation {counts.validation}, test {counts.test}",
            where="data.split",
            expected="at least one row on each side",
            hint=(
                f"rows that nearly say the same or share a group stay together, and there are {groups} such groups; give more rows, other "
                "fractions, or a higher data.split.near_jaccard"
            ),
        )


class _Seen:
    """What the sides say of all rows together, gathered while they are written."""

    def __init__(self, *, labelled: bool) -> None:
        self._labelled = labelled
        self.digest, self.training_digest = hashlib.sha256(), hashlib.sha256()
        self.answers: set[str] = set()
        self._instructions: set[str | None] = set()

    def add(self, side: str, part: pl.DataFrame) -> None:
        asked = pl.when(pl.any_horizontal(pl.col("input", "turns").is_not_null())).then("instruction")  # alone, it is the user's turn
        self._instructions.update(part.select(asked).to_series().unique().head(2))
        self.answers.update(part["output"].unique() if self._labelled else ())
        for line in part.select(pl.concat_str(pl.lit(side), "row_id", "digest", "group", separator=" ")).to_series():
            self.add_line(line, trained=side != "test")

    def add_line(self, line: str, *, trained: bool) -> None:
        """Something that the rows are digested by; `trained` says whether training sees it."""
        self.digest.update(line.encode())
        if trained:
            self.training_digest.update(line.encode())

    @property
    def instruction(self) -> str | None:
        """The system turn that all rows share."""
        return next(iter(self._instructions)) if len(self._instructions) == 1 else None


def _write_sides(data: DataConfig, folder: Path, fates: Fates, spool: Spool, counts: RowCounts) -> PreparedData:
    seen, kept = _Seen(labelled=fates.labelled), fates.kept("group", "side")
    for side in reversed(SIDES):  # training rows last: canaries share the instruction of all others
        rows = spool.parts(kept.filter(pl.col("side") == side), ("instruction", "input", "output", "turns", "digest"))
        planted = data.canaries if side == "train" else 0
        write_table(folder / f"{side}.parquet", _chats(side, rows, seen, planted, data.split.key))
    seen.add_line(f"{data.canaries} canaries {data.split.key}" if data.canaries else "", trained=True)
    return PreparedData(
        folder=folder,
        digest=seen.digest.hexdigest(),
        training_digest=seen.training_digest.hexdigest(),
        instruction=seen.instruction,
        labels=tuple(sorted(seen.answers)) if fates.labelled else None,
        counts=counts,
        canaries=data.canaries,
    )


def _write_test_columns(path: Path, fates: Fates, spool: Spool, names: Sequence[str]) -> None:
    """What the test rows can be divided by that is not in their chats."""
    test = fates.kept("side").filter(pl.col("side") == "test").select("row_id")
    parts = [
        part.select("row_id", source="file").with_columns(
            pl.Series(name, [json.loads(kept)[name] for kept in part["kept"]], pl.String) for name in names
        )
        for part in spool.parts(test, ("file", "kept"))
    ]
    pl.concat(parts).write_parquet(path)


def _chats(side: str, rows: Iterator[pl.DataFrame], seen: _Seen, planted: int, key: str) -> Iterator[pl.DataFrame]:
    """Rows of a side as chats, one part after another, and then its canaries."""
    for part in rows:
        seen.add(side, part)
        yield with_messages(part).select(*SCHEMA)
    yield pl.DataFrame(list(canaries(planted, key, seen.instruction)), schema=SCHEMA)
