"""Preparation as a pure function: source files in, rows fit for training and measuring out."""

import math
from pathlib import Path

import polars as pl

from pipeline_config.data import DataConfig
from pipeline_config.errors import DataError
from tasks.artifacts import PreparedData, RowCounts
from tasks.data.deduplicate import add_keys, drop_duplicates
from tasks.data.labels import are_labels, require_two_classes, select_labels
from tasks.data.lengths import CountTokens, find_too_long
from tasks.data.quarantine import Quarantine
from tasks.data.schema import find_faults
from tasks.data.sensitive import screen
from tasks.data.sources import read_table
from tasks.data.split import SPLIT, choose_rows, find_leaks, find_near_leaks, hold_out_test, hold_out_validation
from tasks.files import sha256_json
from tasks.rows import Row, answer_of, messages_digest, to_messages, write_rows

SIDES = ("train", "validation", "test")


def prepare_data(data: DataConfig, *, max_length: int, count_tokens: CountTokens, folder: Path) -> PreparedData:
    """Reads, checks, deduplicates and splits the rows of a source, and writes them to a folder.

    `labels` are the distinct answers of the rows kept, sorted, or null where answers are free text (`tasks.data.labels`). `instruction` is
    the system turn that all rows kept share, or null. Rows are sorted by id. The result depends neither on the order of the source's rows
    nor on time.

    Args:
        max_length: longest row in tokens.
        count_tokens: tokens of a whole chat.
        folder: gets the files of `tasks.artifacts.PreparedData`; `quarantine.parquet` is there even if the data is refused.

    Raises:
        DataError: the source cannot be read, too many rows are unfit, there is one class only, or a side is empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = read_table(data.source, data.split.group_column)
    selected = select_labels(table, data.source.labels)
    quarantine = Quarantine(folder, rows=selected.height, limit=data.max_bad_fraction)
    sound = quarantine.take(selected, find_faults(selected))
    screened = screen(sound.with_columns(turns=pl.lit(None, dtype=pl.String)), data.sensitive)
    sound = quarantine.take(screened.table, screened.faults)
    sound = quarantine.take(sound, find_too_long(sound, max_length, count_tokens))
    quarantine.close()
    distinct = _with_labels(drop_duplicates(add_keys(sound)))
    split = _limit(_split(distinct, data, quarantine), data)
    quarantine.close()
    rows = {side: _rows(split.filter(pl.col("kept") & (pl.col("side") == side))) for side in SIDES}
    counts = RowCounts(
        read=table.height,
        train=len(rows["train"]),
        validation=len(rows["validation"]),
        test=len(rows["test"]),
        quarantined=len(quarantine),
        duplicates=sound.height - distinct.height,
        unselected=table.height - selected.height,
        set_aside=split.filter(~pl.col("kept")).height,
    )
    require_balance(counts)
    _require_every_side(counts, groups=distinct["group"].n_unique())
    _write(folder, split, rows)
    return _summary(folder, rows, counts, labelled=are_labels(distinct["output"]))


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


def _with_labels(table: pl.DataFrame) -> pl.DataFrame:
    """Adds `label`, over which rows are balanced: the answer, or one label for all where answers are free text."""
    require_two_classes(table.filter(~pl.col("from_test"))["output"])
    return table.with_columns(label=pl.col("output") if are_labels(table["output"]) else pl.lit(""))


def _split(table: pl.DataFrame, data: DataConfig, quarantine: Quarantine) -> pl.DataFrame:
    """Adds `side`. First the test rows, then validation among the rest; what leaks from a side goes to quarantine at once."""
    is_test = table["from_test"] if data.source.test_path else hold_out_test(table, data.split)
    test, rest = table.filter(is_test), table.filter(~is_test)
    rest = _without_leaks(rest, test, "test", data, quarantine)
    is_validation = hold_out_validation(rest, data.split)
    validation, train = rest.filter(is_validation), rest.filter(~is_validation)
    train = _without_leaks(train, validation, "validation", data, quarantine)
    sides = zip(SIDES, (train, validation, test), strict=True)
    return pl.concat([part.with_columns(side=pl.lit(side)) for side, part in sides])


def _without_leaks(table: pl.DataFrame, held: pl.DataFrame, side: str, data: DataConfig, quarantine: Quarantine) -> pl.DataFrame:
    left = quarantine.take(table, find_leaks(table, held, side))
    jaccard = data.split.near_jaccard
    return left if jaccard is None else quarantine.take(left, find_near_leaks(left, held, side, jaccard))


def _limit(table: pl.DataFrame, data: DataConfig) -> pl.DataFrame:
    """Adds `kept`, by the limits of each side. Validation keeps its proportion to a limited training side."""
    train, fraction = data.max_train_rows, data.split.validation_fraction
    validation = None if train is None else math.ceil(train * fraction / (1 - fraction))
    limits = {"train": train, "validation": validation, "test": data.max_test_rows}
    parts = [table.filter(pl.col("side") == side) for side in SIDES]
    kept = [choose_rows(part, limits[side], data.split.key) for side, part in zip(SIDES, parts, strict=True)]
    return pl.concat([part.with_columns(kept=chosen) for part, chosen in zip(parts, kept, strict=True)])


def _rows(table: pl.DataFrame) -> list[Row]:
    rows: list[Row] = []
    for row_id, group, instruction, text, answer in table.select("row_id", "group", "instruction", "input", "output").iter_rows():
        messages = to_messages(instruction, text, answer)
        rows.append({"row_id": row_id, "digest": messages_digest(messages), "group": group, "messages": messages})
    return rows


def _write(folder: Path, split: pl.DataFrame, rows: dict[str, list[Row]]) -> None:
    split.select(*SPLIT).write_parquet(folder / "split.parquet")
    for side in SIDES:
        write_rows(folder / f"{side}.parquet", rows[side])


def _require_every_side(counts: RowCounts, *, groups: int) -> None:
    empty = [side for side in SIDES if getattr(counts, side) == 0]
    if empty:
        raise DataError(
            f"no {' and no '.join(empty)} rows: train {counts.train}, validation {counts.validation}, test {counts.test}",
            where="data.split",
            expected="at least one row on each side",
            hint=f"rows with equal text or group stay together, and there are {groups} such groups; give more rows, or other fractions",
        )


def _summary(folder: Path, rows: dict[str, list[Row]], counts: RowCounts, *, labelled: bool) -> PreparedData:
    every = [row for side in SIDES for row in rows[side]]
    instructions = {row["messages"][0]["content"] if row["messages"][0]["role"] == "system" else None for row in every}
    content = {side: [[row["row_id"], row["digest"], row["group"]] for row in rows[side]] for side in SIDES}
    return PreparedData(
        folder=folder,
        digest=sha256_json(content),
        instruction=instructions.pop() if len(instructions) == 1 else None,
        labels=tuple(sorted({answer_of(row) for row in every})) if labelled else None,
        counts=counts,
    )
