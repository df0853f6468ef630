"""Personal data and secrets in rows: what is taken out, what stops the run, what is masked, and what is only counted."""

import json
import re
from collections.abc import Collection
from typing import NamedTuple

import polars as pl

from pipeline_config.data import Policy, PresidioConfig, SensitiveConfig
from tasks.data.policies import SHOWS, apply_policies
from tasks.masking import MaskedText, mask_messages, mask_text, texts_in_json
from tasks.presidio import find_entities
from tasks.screening import KINDS, PLACEHOLDER, Kind, find_sensitive, mask

_FIELDS = ("instruction", "input", "output")
_SAMPLED = 1_000
_STRENGTH = ("report", "quarantine", "fail")
_TURNS = pl.List(pl.Struct({"content": pl.String(), "tool_calls": pl.String()}))
_PLACE = pl.col("place").replace("turns", "a turn")
_NAMES: dict[Kind, str] = {
    "secret": "a secret", "card": "a card number", "iban": "an IBAN", "national_id": "a national identifier", "ip": "an IP address",
    "email": "an e-mail address", "phone": "a phone number",
}  # fmt: skip


class Screened(NamedTuple):
    """A shard after its texts were looked through.

    `table` has placeholders where kinds are masked; `faults` (`tasks.data.quarantine.FAULTS`) has the rows to be taken out, which are still
    in the table. `reported` and `masked` (`tasks.data.policies.SHOWS`) are of rows that are not taken out.
    """

    table: pl.DataFrame
    faults: pl.DataFrame
    reported: pl.DataFrame
    masked: pl.DataFrame


def screen(table: pl.DataFrame, policies: SensitiveConfig) -> Screened:
    """Looks through all texts of a shard of the canonical table and does what the policies say. Rows keep their order.

    Raises:
        DataError: a row holds a kind whose policy is `fail`.
        ConfigError: Presidio is asked for and is not there (`tasks.presidio.open_presidio`).
    """
    looked = _look(table)
    found, masking = _by_row(looked), policies.masked_kinds
    is_masked = pl.col("kind").is_in(masking)
    others: dict[str, Policy] = {kind.upper(): getattr(policies, kind) for kind in KINDS if kind not in masking}
    faults = _as_faults(found.filter(~is_masked), table)
    if (presidio := policies.presidio) is not None:
        others["PRESIDIO"] = presidio.policy
        faults = pl.concat([faults, _as_entity_faults(_other_entities(looked, policies, presidio), table)])
    applied = apply_policies(faults, table, others)
    masked_table, masked = _mask(table, found.filter(is_masked), masking)
    return Screened(masked_table, applied.faults, applied.reported, masked.join(applied.faults, on="row_id", how="anti"))


def mask_table(table: pl.DataFrame, policies: SensitiveConfig) -> pl.DataFrame:
    """Rows that are only compared with others, as :func:`screen` would mask them; nothing is counted or refused."""
    kinds = policies.masked_kinds
    return _mask(table, _by_row(_look(table)).filter(pl.col("kind").is_in(kinds)), kinds)[0] if kinds else table


def excerpt(text: str, limit: int = 200, presidio: PresidioConfig | None = None) -> str:
    """The beginning of a text with every kind masked, in at most `limit` characters. A placeholder is there as a whole or not at all.

    Args:
        presidio: what else is masked; null: nothing.
    """
    masked, placeholder = mask_text(text, KINDS).text, PLACEHOLDER
    if presidio is not None:
        masked = mask(masked, find_entities(pl.Series([masked]), presidio).select("entity", "start", "end").iter_rows())
        placeholder = re.compile(f"{PLACEHOLDER.pattern}|<(?:{'|'.join(presidio.entities)})>")
    if len(masked) <= limit:
        return masked
    end = limit - 1  # the ellipsis takes one
    divided = (found.start() for found in placeholder.finditer(masked) if found.start() < end < found.end())
    return masked[: next(divided, end)] + "…"


class _Looked(NamedTuple):
    """`texts` has `rows` of the table, `text` and `place`, a column of the table; `inside` is what `find_sensitive` found in the texts."""

    texts: pl.DataFrame
    inside: pl.DataFrame


def _look(table: pl.DataFrame) -> _Looked:
    """Looks through every text once. Chats of several turns are looked at turn by turn, as masking does."""
    single = table.with_columns(pl.when(pl.col("turns").is_null()).then(pl.col("input", "output")))
    parts = [_once(single[field]).with_columns(place=pl.lit(field)) for field in _FIELDS]
    texts = pl.concat([*parts, _texts_of_turns(table["turns"]).with_columns(place=pl.lit("turns"))])
    # One search over all: picking candidates has a price for each call.
    return _Looked(texts, find_sensitive(texts["text"]))


def _by_row(looked: _Looked) -> pl.DataFrame:
    """Columns `row` of the table, `kind` and `place`."""
    return _of_rows(looked.texts, looked.inside["row"], looked.inside["kind"])


def _of_rows(texts: pl.DataFrame, numbers: pl.Series, found: pl.Series) -> pl.DataFrame:
    """What was found in the texts of these numbers as columns `row`, the found one's own, and `place`; each once."""
    named = texts.select("rows", "place")[numbers].with_columns(found)
    return named.explode("rows").rename({"rows": "row"}).select("row", found.name, "place").unique().sort("row", found.name, "place")


def _other_entities(looked: _Looked, policies: SensitiveConfig, presidio: PresidioConfig) -> pl.DataFrame:
    """Columns `row`, `entity` and `place` of what Presidio finds and our own kinds do not settle already."""
    found = find_entities(looked.texts["text"], presidio).with_row_index("number")
    settled = looked.inside.filter(pl.col("kind").is_in([kind for kind in KINDS if _settles(getattr(policies, kind), presidio)]))
    shared = (pl.col("start") < pl.col("end_right")) & (pl.col("start_right") < pl.col("end"))
    left = found.join(found.join(settled, on="row").filter(shared), on="number", how="anti")
    return _of_rows(looked.texts, left["row"], left["entity"])


def _settles(policy: str, presidio: PresidioConfig) -> bool:
    """Whether a finding of our own decides what becomes of a row, so that Presidio's finding in the same place is not counted as well."""
    return policy == "mask" or (policy != "ignore" and _STRENGTH.index(policy) >= _STRENGTH.index(presidio.policy))


def _once(texts: pl.Series) -> pl.DataFrame:
    """Columns `rows` and `text`: each text once with all its rows, if texts repeat as labels and instructions do."""
    table = pl.DataFrame({"rows": pl.int_range(len(texts), eager=True), "text": texts}).drop_nulls()
    sample = table["text"].gather_every(max(1, table.height // _SAMPLED))
    repeated = 2 * sample.n_unique() < len(sample)
    return table.group_by("text").agg("rows").select("rows", "text") if repeated else table.with_columns(pl.concat_list("rows"))


def _texts_of_turns(turns: pl.Series) -> pl.DataFrame:
    """The same of what masking would look at in chats of several turns."""
    chats = pl.DataFrame({"row": range(len(turns)), "turn": turns}).drop_nulls().with_columns(pl.col("turn").str.json_decode(_TURNS))
    single = chats.explode("turn").unnest("turn")
    contents = single.select("row", text="content").drop_nulls()
    calls = single.select("row", "tool_calls").drop_nulls()
    inside = [(row, text) for row, call in calls.iter_rows() for text in texts_in_json(call)]
    return pl.concat([contents, pl.DataFrame(inside, contents.schema, orient="row")]).select(pl.concat_list("row").alias("rows"), "text")


def _as_faults(found: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    return found.select(
        row_id=table["row_id"].gather(found["row"]),
        code=pl.col("kind").str.to_uppercase(),
        reason=_PLACE + " holds " + pl.col("kind").replace_strict(_NAMES, return_dtype=pl.String),
    )


def _as_entity_faults(found: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    return found.select(
        row_id=table["row_id"].gather(found["row"]),
        code=pl.lit("PRESIDIO"),
        reason=_PLACE + " holds what Presidio calls " + pl.col("entity"),
    )


def _mask(table: pl.DataFrame, found: pl.DataFrame, kinds: tuple[Kind, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The table with placeholders, and columns `row_id` and `code` of what was masked. Only texts with something in them are touched."""
    columns, masked = [], []
    for field in (*_FIELDS, "turns"):
        # What a turn says stands in input or output as well.
        places = [field] if field == "instruction" else [field, "turns"]
        rows = found.filter(pl.col("place").is_in(places))["row"].unique().sort()
        mask = _mask_turns if field == "turns" else mask_text
        parts = [(row, mask(text, kinds)) for row, text in zip(rows, table[field].gather(rows), strict=True) if text is not None]
        columns.append(table[field].clone().scatter([row for row, _ in parts], [part.text for _, part in parts]))
        masked += [(table["row_id"][row], kind.upper()) for row, part in parts for kind in part.counts]
    return table.with_columns(columns), pl.DataFrame(masked, schema=SHOWS, orient="row")


def _mask_turns(turns: str, kinds: Collection[Kind]) -> MaskedText:
    chat = mask_messages(json.loads(turns), kinds)
    return MaskedText(json.dumps(chat.messages, ensure_ascii=False) if chat.counts else turns, chat.counts)
