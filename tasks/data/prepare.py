"""Preparation as a pure function: source files in, rows fit for training and measuring out."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from pipeline_config.data import DataConfig
from pipeline_config.errors import DataError
from tasks.artifacts import PreparedData, RowCounts
from tasks.data.assignments import ASSIGNMENTS
from tasks.data.canaries import canaries
from tasks.data.chats import with_digests, with_messages
from tasks.data.consistency import labels_of
from tasks.data.deduplicate import KEYS, add_keys, duplicates_table, find_exact, find_near, find_pairs, with_groups
from tasks.data.labels import are_labels, one_class_only
from tasks.data.meaning import Embed
from tasks.data.policies import Tally
from tasks.data.quarantine import Quarantine
from tasks.data.reporting import Prepared, build_report, warnings_of, write_report
from tasks.data.rowchecks import RowChecks
from tasks.data.sources import Source
from tasks.data.split import SIDES, SPLIT, divide, limit_sides
from tasks.data.spool import SourceRows, Spool
from tasks.data.template import ChatTemplate
from tasks.rows import SCHEMA, write_table
from tasks.stages import SCRATCH

INDEX = ("row_id", "from_test", "file", "line", "group_value", *KEYS)
"""What memory holds of every row; the texts themselves are on disk."""

_MOST_SPELLINGS = 5_000
"""Distinct answers above which they are not looked at as spellings of labels."""


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
        spool, index = _check(rows.spool, checks, scratch / "sound")
        quarantine.close(rows.read - rows.unselected)
        grouped, removed = _without_duplicates(index, data)
        removed.write_parquet(folder / "duplicates.parquet")
        labelled = _label(grouped, spool)
        before = pl.DataFrame(schema=ASSIGNMENTS) if recorded is None else recorded
        split = limit_sides(divide(labelled, data, before, _read_benchmark(data), quarantine), data)
        quarantine.close(rows.read - rows.unselected)
        counts = _count(rows, split, removed, quarantine)
        require_balance(counts)
        _require_every_side(counts, groups=split["group"].n_unique())
        split.select(*SPLIT).write_parquet(folder / "split.parquet")
        kept = checks.kept()
        sides = spool.rows(split.filter("kept").select("row_id", "group", "text", "side"))
        found = Prepared(
            rows=sides,
            examples=spool.rows(_named_in(kept)),
            counts=counts,
            duplicates=removed,
            cluster_sizes=_cluster_sizes(grouped),
            recorded=split["recorded"].count(),
            format=source.format,
        )
        prepared = _write_sides(data, folder, sides, counts, labelled=labelled["label"].n_unique() > 1)
        report = build_report(data, found, quarantine, kept, template=template, embed=embed, digest=prepared.digest)
        write_report(folder, report)
        return prepared.model_copy(update={"warnings": warnings_of(report)})


def _named_in(kept: Mapping[str, Tally]) -> pl.DataFrame:
    """Ids of the rows that stand as examples."""
    named = sorted({row_id for tally in kept.values() for row_id in tally.examples})
    return pl.DataFrame({"row_id": named}, schema={"row_id": pl.String})


def _count(rows: SourceRows, split: pl.DataFrame, removed: pl.DataFrame, quarantine: Quarantine) -> RowCounts:
    return RowCounts(
        read=rows.read,
        **{side: split.filter(pl.col("kept"), pl.col("side") == side).height for side in SIDES},
        quarantined=len(quarantine),
        duplicates=removed.height,
        unselected=rows.unselected,
        set_aside=split.filter(~pl.col("kept")).height,
    )


def _cluster_sizes(grouped: pl.DataFrame) -> dict[int, int]:
    """How many clusters there are of each size from 2 on."""
    sizes = grouped.group_by("cluster").len(name="size").filter(pl.col("size") > 1)["size"].value_counts(name="clusters").sort("size")
    return {int(size): int(clusters) for size, clusters in sizes.iter_rows()}


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


def _check(source: Spool, checks: RowChecks, folder: Path) -> tuple[Spool, pl.DataFrame]:
    """The sound rows on disk, and the index of them in memory, sorted by row id."""
    spool, parts = Spool(folder), []
    for shard in source:
        sound = add_keys(with_digests(checks.check(shard)))
        spool.add(sound.drop(*KEYS, "group_value", "fault", "fault_reason"))
        parts.append(sound.select(INDEX).with_columns(pl.col("file").cast(pl.Categorical)))
    return spool, pl.concat(parts).sort("row_id")


def _without_duplicates(index: pl.DataFrame, data: DataConfig) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows to go on with, with their groups, and those removed (`tasks.data.deduplicate.DUPLICATES`)."""
    exact = find_exact(index)
    distinct = index.join(exact, on="row_id", how="anti", maintain_order="left")
    same_side, same_row = data.split.near_jaccard, data.checks.near_duplicate_jaccard
    pairs = find_pairs(distinct, min((bound for bound in (same_side, same_row) if bound is not None), default=None))
    near = find_near(distinct, pairs, same_row)
    grouped = with_groups(distinct, pairs, same_side)
    return grouped.join(near, on="row_id", how="anti", maintain_order="left"), duplicates_table(index, exact, near)


def _label(index: pl.DataFrame, spool: Spool) -> pl.DataFrame:
    """Adds `label`, over which rows are balanced: the main spelling of the answer, or one for all where answers are free text."""
    trainable = index.filter(~pl.col("from_test"))["answer"]
    if are_labels(trainable) and trainable.n_unique() == 1:
        first = index.filter(pl.col("answer") == trainable[0]).select("row_id").head(1)
        raise one_class_only(len(trainable), spool.rows(first)["output"][0])
    if index["answer"].n_unique() > _MOST_SPELLINGS:
        return index.with_columns(label=pl.lit(""))
    spelled = spool.rows(index.group_by("answer").agg(pl.col("row_id").min())).select("answer", "output")
    labels = labels_of(index.join(spelled, on="answer", how="left", maintain_order="left")["output"])
    return index.with_columns(label=pl.lit("") if labels is None else labels)


def _read_benchmark(data: DataConfig) -> pl.DataFrame:
    """Keys and places of the rows of all benchmark files."""
    sources = [Source(data.source.model_copy(update={"path": path, "test_path": None}), None) for path in data.split.benchmark_paths]
    shards = [add_keys(shard.filter(pl.col("input").is_not_null())).select(INDEX) for source in sources for shard in source.shards()]
    return (
        pl.concat(shards)
        if shards
        else pl.DataFrame(schema={"row_id": pl.String, "text": pl.String, "normal": pl.String, "file": pl.String, "line": pl.Int64})
    )


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


def _write_sides(data: DataConfig, folder: Path, kept: pl.DataFrame, counts: RowCounts, *, labelled: bool) -> PreparedData:
    digest = hashlib.sha256()
    instructions: set[str | None] = set()
    answers: set[str] = set()
    for side in reversed(SIDES):  # training rows last: canaries share the instruction of all others
        rows = kept.filter(pl.col("side") == side)
        asked = pl.when(pl.any_horizontal(pl.col("input", "turns").is_not_null())).then("instruction")  # alone, it is the user's turn
        instructions.update(rows.select(asked).to_series().unique().head(2))
        answers.update(rows["output"].unique() if labelled else ())
        instruction = next(iter(instructions)) if len(instructions) == 1 else None
        planted = canaries(data.canaries if side == "train" else 0, data.split.key, instruction)
        written = pl.concat([with_messages(rows).select(*SCHEMA), pl.DataFrame(list(planted), schema=SCHEMA)])
        write_table(folder / f"{side}.parquet", written)
        for line in written.select(pl.concat_str(pl.lit(side), "row_id", "digest", "group", separator=" ")).to_series():
            digest.update(line.encode())
    return PreparedData(
        folder=folder,
        digest=digest.hexdigest(),
        instruction=instruction,
        labels=tuple(sorted(answers)) if labelled else None,
        counts=counts,
        canaries=data.canaries,
    )
