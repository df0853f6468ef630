"""Preparation as a pure function: source files in, rows fit for training and measuring out."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import polars as pl

from pipeline_config.data import DataConfig
from pipeline_config.errors import DataError
from tasks.artifacts import PreparedData, RowCounts
from tasks.data.assignments import ASSIGNMENTS
from tasks.data.canaries import canaries
from tasks.data.chats import with_digests, with_messages
from tasks.data.deduplicate import KEYS, add_keys
from tasks.data.fates import INDEX, Fates, decide
from tasks.data.meaning import Embed
from tasks.data.quarantine import Quarantine
from tasks.data.reporting import Outcome, build_report, warnings_of, write_report
from tasks.data.rowchecks import RowChecks
from tasks.data.sources import Source
from tasks.data.split import SIDES, SPLIT
from tasks.data.spool import SourceRows, Spool
from tasks.data.template import ChatTemplate
from tasks.rows import SCHEMA, write_table
from tasks.stages import SCRATCH

_WRITTEN_ROWS = 50_000
"""Rows that are made chats at a time."""


def prepare_data(
    data: DataConfig, *, template: ChatTemplate, folder: Path, recorded: pl.DataFrame | None = None, embed: Embed | None = None
) -> PreparedData:
    """Reads, checks, deduplicates and splits the rows of a source, and writes them to a folder.

    `labels` are the distinct answers of the rows kept, sorted, or null where answers are free text (`tasks.data.labels`). `instruction` is
    the system turn that all rows kept share, or null. Rows are sorted by id. The result depends neither on the order of the source's rows
    nor on time.

    Args:
        template: what rows have to fit.
        folder: gets the files of `tasks.artifacts.PreparedData`; `quarantine.parquet` is there even if the data is refused.
        recorded: sides of texts in earlier runs (`tasks.data.assignments.ASSIGNMENTS`); null: none.
        embed: makes sentence embeddings (`tasks.embeddings`); null: rows are not compared by meaning.

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
        prepared = _write_sides(data, folder, fates, spool, counts)
        outcome = Outcome(spool, fates, counts, quarantine, checks.kept(), source.format, prepared.digest)
        report = build_report(data, outcome, template=template, embed=embed)
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
        sound = add_keys(with_digests(checks.check(shard)))
        spool.add(sound.drop(*KEYS, "group_value", "fault", "fault_reason"))
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


def _write_sides(data: DataConfig, folder: Path, fates: Fates, spool: Spool, counts: RowCounts) -> PreparedData:
    digest = hashlib.sha256()
    instructions: set[str | None] = set()
    answers: set[str] = set()
    kept = fates.kept("group", "side")
    for side in reversed(SIDES):  # training rows last: canaries share the instruction of all others
        rows = spool.rows(kept.filter(pl.col("side") == side))
        asked = pl.when(pl.any_horizontal(pl.col("input", "turns").is_not_null())).then("instruction")  # alone, it is the user's turn
        instructions.update(rows.select(asked).to_series().unique().head(2))
        answers.update(rows["output"].unique() if fates.labelled else ())
        instruction = next(iter(instructions)) if len(instructions) == 1 else None
        planted = canaries(data.canaries if side == "train" else 0, data.split.key, instruction)
        chats = (with_messages(part).select(*SCHEMA) for part in rows.iter_slices(_WRITTEN_ROWS))
        write_table(folder / f"{side}.parquet", chain(chats, [pl.DataFrame(list(planted), schema=SCHEMA)]))
        for line in rows.select(pl.concat_str(pl.lit(side), "row_id", "digest", "group", separator=" ")).to_series():
            digest.update(line.encode())
    digest.update(f"{data.canaries} canaries {data.split.key}".encode() if data.canaries else b"")
    return PreparedData(
        folder=folder,
        digest=digest.hexdigest(),
        instruction=instruction,
        labels=tuple(sorted(answers)) if fates.labelled else None,
        counts=counts,
        canaries=data.canaries,
    )
