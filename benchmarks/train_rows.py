"""The rows of the training benchmark, the same for all: `python -m benchmarks.train_rows BANKING77 FOLDER`.

Rows are drawn by a seeded shuffle of Banking77's files. Peers get them as rendered texts, so that everybody trains on the same tokens.
"""

import argparse
import csv
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from benchmarks.train_job import HELDOUT_ROWS, INSTRUCTION, PEER_ROWS, ROWS_PER_STEP, TRAIN_ROWS
from pipeline_config.environment import read_machine
from pipeline_config.errors import DataError
from pipeline_config.model import ModelConfig
from tasks.batching import shared_prefix_length
from tasks.chat import EncodedRow, encode_row
from tasks.files import base_cache
from tasks.models import identify_base, load_tokenizer
from tasks.rows import Row, messages_digest, to_messages, write_rows

SEED = 17
VALIDATION_ROWS = 8
"""Our trainer always validates. It does so behind its last step, when the clock has stopped."""


class Plan(TypedDict):
    """What was drawn. Tokens are those of each row with its prompt, counted once; `capacity` is that of a packed sequence."""

    base: str
    rows: int
    tokens: int
    supervised_tokens: int
    prefix_tokens: int
    capacity: int


def draw(path: Path, count: int) -> list[Row]:
    """The first rows after a seeded shuffle.

    Raises:
        DataError: the file has fewer.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        records = list(csv.DictReader(stream))
    if len(records) < count:
        raise DataError(f"{len(records)} rows", where=str(path), expected=f"at least {count}", hint="BANKING77_DIR names the folder")
    random.Random(SEED).shuffle(records)
    return [_as_row(record) for record in records[:count]]


def _as_row(record: dict[str, str]) -> Row:
    messages = to_messages(INSTRUCTION, record["text"], record["category"])
    digest = messages_digest(messages)
    return {"row_id": digest[:12], "digest": digest, "group": digest, "messages": messages}


def prepare(banking: Path, folder: Path, *, rows: int, heldout: int) -> Plan:
    """Writes all rows to a folder, and converts the embedded base if that has not been done yet."""
    folder.mkdir(parents=True, exist_ok=True)
    workspace, model = read_machine().workspace, ModelConfig()
    tokenizer = load_tokenizer(model, workspace)
    drawn, held = draw(banking / "train.csv", rows), draw(banking / "test.csv", heldout)
    write_rows(folder / TRAIN_ROWS, drawn)
    write_rows(folder / "validation.parquet", held[:VALIDATION_ROWS])
    write_rows(folder / HELDOUT_ROWS, held)
    encoded = [encode_row(tokenizer, row) for row in drawn]
    (folder / PEER_ROWS).write_text(json.dumps([as_texts(tokenizer, row) for row in encoded]), encoding="utf-8")
    lengths = [length_of(row) for row in encoded]
    return {
        "base": str(base_cache(workspace) / identify_base(model, workspace).digest[:32]),
        "rows": rows,
        "tokens": sum(lengths),
        "supervised_tokens": sum(sum(row["supervised"]) for row in encoded),
        "prefix_tokens": shared_prefix_length(encoded),
        "capacity": find_capacity(lengths),
    }


def length_of(row: EncodedRow) -> int:
    """Tokens of a row, prompt included."""
    return len(row["prompt_ids"]) + len(row["completion_ids"])


def as_texts(tokenizer: Any, row: EncodedRow) -> dict[str, str]:
    """A row's two texts.

    Raises:
        DataError: tokens that were made texts and tokens again are others.
    """
    texts = {side: str(tokenizer.decode(row[f"{side}_ids"], skip_special_tokens=False)) for side in ("prompt", "completion")}  # type: ignore[literal-required]
    if [token for text in texts.values() for token in tokenizer(text, add_special_tokens=False)["input_ids"]] != [
        *row["prompt_ids"], *row["completion_ids"]
    ]:  # fmt: skip
        raise DataError(
            "the row's texts have other tokens than the row", where=row["row_id"], expected="the same tokens for all contenders"
        )
    return texts


def find_capacity(lengths: Sequence[int]) -> int:
    """The shortest packed sequence, one token less than a multiple of eight, that needs no more sequences than there are steps."""
    steps = -(-len(lengths) // ROWS_PER_STEP)
    capacity = 8 * (max(lengths) // 8 + 1) - 1
    while count_sequences(lengths, capacity) > steps:
        capacity += 8
    return capacity


def count_sequences(lengths: Sequence[int], capacity: int) -> int:
    """Packed sequences that hold rows of these lengths, if each takes the longest row that still fits, until none does."""
    left, sequences = sorted(lengths), 0
    while left:
        room, sequences = capacity, sequences + 1
        for at in range(len(left) - 1, -1, -1):
            if left[at] <= room:
                room -= left.pop(at)
    return sequences


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: writes the rows, and a line of JSON (:class:`Plan`)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_rows", description="Draws the rows of the training benchmark.")
    parser.add_argument("banking", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--heldout", type=int, default=200)
    given = parser.parse_args(arguments)
    sys.stdout.write(json.dumps(prepare(given.banking, given.folder, rows=given.rows, heldout=given.heldout)) + "\n")


if __name__ == "__main__":
    main()
