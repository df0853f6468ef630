"""Data sets of the Hugging Face hub, by name, and folders in its layout."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline_config.errors import DataError
from tasks.data.locations import listed, readable
from tasks.data.records import BATCH, SourceRecord, no_rows, read_batches

_HUB = re.compile(r"hf:(?P<name>[^@:]+)(@(?P<revision>[^:]+))?(:(?P<split>.+))?")


def is_hub(location: str | Path) -> bool:
    """Whether a location is `hf:NAME` and not a URL of a file on the hub."""
    return str(location).startswith("hf:") and not str(location).startswith("hf://")


def read_hub(location: str) -> Iterator[SourceRecord]:
    """Every record of one split.

    Raises:
        DataError: it cannot be fetched, or has no rows, or several splits and none was named.
    """
    with readable(location):
        name, dataset = _load_hub(location)
        labels = {column: feature.names for column, feature in dataset.features.items() if type(feature).__name__ == "ClassLabel"}
        if not dataset.num_rows:
            raise no_rows(location)
        for item in read_batches(name, dataset.with_format("arrow").iter(batch_size=BATCH)):
            yield item if item.record is None else item._replace(record=_with_names(item.record, labels))


def _load_hub(location: str) -> tuple[str, Any]:
    """Loads one split. The library runs no code of a data set; it keeps a copy in its cache and reads that by memory map."""
    from datasets import load_dataset

    match = _HUB.fullmatch(location)
    if match is None:
        raise DataError("the location cannot be read", where=location, expected="hf:NAME, hf:NAME:SPLIT or hf:NAME@REVISION:SPLIT")
    loaded = load_dataset(match["name"], revision=match["revision"], split=match["split"])
    splits = {match["split"]: loaded} if match["split"] else dict(loaded)
    if len(splits) != 1:
        raise DataError(
            "the data set has several splits", where=location, expected=f"one of {listed(splits)}", hint=f"write {location}:SPLIT"
        )
    split, dataset = splits.popitem()
    return f"{Path(match['name']).name if Path(match['name']).is_dir() else match['name']}:{split}", dataset


def _with_names(record: Mapping[str, object], labels: Mapping[str, list[str]]) -> Mapping[str, object]:
    """The names of class labels, which are stored as numbers; -1 says that there is none."""
    named = {column: names[key] if isinstance(key := record[column], int) and key >= 0 else None for column, names in labels.items()}
    return {**record, **named}


def hub_digest(location: str) -> list[str]:
    """Name of the data set, and SHA-256 of its rows."""
    name, digest = location, hashlib.sha256()
    for item in read_hub(location):
        name = item.file
        digest.update(json.dumps([item.record, item.fault], sort_keys=True, default=str).encode() + b"\n")
    return [name, digest.hexdigest()]
