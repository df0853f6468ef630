"""All checks of single rows, in the order in which they build on each other, and what becomes of the rows that fail."""

from collections.abc import Iterator

import polars as pl

from pipeline_config.data import DataConfig
from pipeline_config.errors import DataError
from tasks.chat import features_of
from tasks.data.chats import messages_of
from tasks.data.lengths import find_too_long, shorten
from tasks.data.policies import SHOWS, Tally, add_up, apply_policies, policies_of, tally
from tasks.data.quarantine import Quarantine, faults_of
from tasks.data.refusals import find_refusals
from tasks.data.schema import find_faults
from tasks.data.sensitive import screen
from tasks.data.template import ChatTemplate
from tasks.data.wording import find_broken_encoding, find_control_tokens, find_wrong_language


class RowChecks:
    """Checks shards one after another.

    Args:
        one_instruction: all rows, also those of other shards, share one instruction or have none.
    """

    def __init__(self, data: DataConfig, template: ChatTemplate, quarantine: Quarantine, *, one_instruction: bool) -> None:
        self._data, self._template, self._quarantine, self._one_instruction = data, template, quarantine, one_instruction
        self._policies = policies_of(data.checks)
        self._tallies: list[dict[str, Tally]] = []

    def check(self, table: pl.DataFrame) -> pl.DataFrame:
        """Takes unfit rows to quarantine and returns the others, with masked or shortened texts if the policies say so.

        Raises:
            DataError: a row has a fault whose policy is `fail`, or something that the template leaves out.
        """
        sound = self._quarantine.take(table, find_faults(table, one_instruction=self._one_instruction))
        require_rendered(sound, self._template)
        applied = apply_policies(pl.concat(self._wording(sound)), sound, self._policies)
        screened = screen(sound, self._data.sensitive)
        sound = self._quarantine.take(screened.table, pl.concat([applied.faults, screened.faults]))
        fitting, truncated = self._fitting(sound)
        masked = screened.masked.with_columns(code="MASKED_" + pl.col("code"))
        shown = pl.concat([applied.reported, screened.reported, masked, truncated])
        self._tallies.append(tally(shown.join(fitting, on="row_id", how="semi")))  # what one check reports another may have taken out
        return fitting

    def kept(self) -> dict[str, Tally]:
        """Rows that show something and are kept, by code; `MASKED_...` and `TRUNCATED` are those whose text was changed."""
        return add_up(self._tallies)

    def _wording(self, table: pl.DataFrame) -> Iterator[pl.DataFrame]:
        checks, policies = self._data.checks, self._policies
        yield faults_of([])
        if policies["BROKEN_ENCODING"] != "ignore":
            yield find_broken_encoding(table)
        if policies["CONTROL_TOKENS"] != "ignore":
            yield find_control_tokens(table, self._template.control_tokens())
        if policies["REFUSAL"] != "ignore":
            yield find_refusals(table)
        if checks.languages and policies["WRONG_LANGUAGE"] != "ignore":
            yield find_wrong_language(table, checks.languages)

    def _fitting(self, table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows that fit into the context, and which of them were shortened to that end (`tasks.data.policies.SHOWS`)."""
        template, policy, row_ids = self._template, self._data.checks.too_long, list[str]()
        too_long = find_too_long(table, template.max_length, template.count_tokens)
        if policy == "truncate":
            kinds = self._data.sensitive.masked_kinds
            table, row_ids = shorten(table, too_long, template.max_length, template.count_tokens, kinds)
        shortened = pl.DataFrame({"row_id": row_ids, "code": "TRUNCATED"}, schema=SHOWS)
        too_long = too_long.join(shortened, on="row_id", how="anti")
        applied = apply_policies(too_long, table, {"TOO_LONG": "fail"} if policy == "fail" else {})
        return self._quarantine.take(table, applied.faults), shortened


def require_rendered(table: pl.DataFrame, template: ChatTemplate) -> None:
    """Refuses chats with a feature that the template leaves out: the model would be trained on a question without its half.

    Raises:
        DataError: there is such a row.
    """
    has_system = pl.col("turns").is_null() & pl.all_horizontal(pl.col("instruction", "input").is_not_null())
    special = pl.concat([table.filter(has_system).head(1), table.filter(pl.col("turns").is_not_null())])
    if special.is_empty() or not (left_out := frozenset(template.unrendered())):
        return
    for row in special.iter_rows(named=True):
        needed = features_of(messages_of(row["instruction"], row["input"], row["output"], row["turns"]))
        for feature in sorted(needed & left_out):
            raise DataError(
                f"the model's chat template does not render {feature}", where=f"{row['file']}, line {row['line']}",
                expected="a template that keeps every turn of every row",
                hint="choose a model whose template knows them, or take such rows out of the source",
            )  # fmt: skip
