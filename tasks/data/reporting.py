"""Puts together what preparation found: the report that the page, the run's summary and the tracking server show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from pipeline_config.data import DataConfig
from tasks.artifacts import RowCounts
from tasks.data.bymeaning import Meaning, check_meaning
from tasks.data.chats import messages_of
from tasks.data.dataset import check_dataset
from tasks.data.diversity import build_diversity
from tasks.data.examples import SHOWN, Excerpt, examples_of, sample_rows
from tasks.data.fates import Fates
from tasks.data.findings import DataReport, Example, Finding
from tasks.data.formats import Detected
from tasks.data.locations import without_secrets
from tasks.data.overview import look_over
from tasks.data.paraphrases import Embedder
from tasks.data.policies import Tally
from tasks.data.profile import Languages, build_profile
from tasks.data.quarantine import Quarantine
from tasks.data.sensitive import excerpt
from tasks.data.spool import Spool
from tasks.data.template import ChatTemplate
from tasks.data.triggers import MOST_ROWS
from tasks.files import write_json
from tasks.languages import detect_languages

_REPORT = "report.json"
SAMPLE_ROWS = 1_000
"""Rows whose tokens are counted and whose language is told."""

_REMOVED: Mapping[str, str] = {
    "UNREADABLE_LINE": "lines cannot be read as a record",
    "NOT_TEXT": "a field holds something else than text",
    "NO_TURNS": "the chat has no turns",
    "UNKNOWN_ROLE": "a turn has a role that no chat template knows",
    "ROLES": "turns do not alternate, or the last one is not the assistant's",
    "EMPTY_TURN": "a turn says nothing",
    "EMPTY_OUTPUT": "there is no answer to learn",
    "EMPTY_INPUT": "there is nothing to work on",
    "CONTROL_CHARACTERS": "a text holds control characters",
    "BROKEN_ENCODING": "a text was decoded in a wrong encoding",
    "CONTROL_TOKENS": "a text holds control tokens of a chat template",
    "SECRET": "a text holds a key, token or password",
    "CARD": "a text holds a payment card's number",
    "IBAN": "a text holds a bank account's number",
    "NATIONAL_ID": "a text holds a national identifier",
    "EMAIL": "a text holds an e-mail address",
    "PHONE": "a text holds a phone number",
    "IP": "a text holds an IP address",
    "PRESIDIO": "a text holds what Presidio was asked to look for",
    "WRONG_LANGUAGE": "a text is in a language that is not wanted",
    "REFUSAL": "the answer declines, or only says what an assistant says of itself",
    "TOO_LONG": "the chat does not fit into the context",
    "TRUNCATED": "the end of the last user turn was cut off, so that the chat fits into the context",
    "LEAK_EXACT": "the text says the same as a held-out row",
    "LEAK_GROUP": "the row's group has a held-out row",
    "LEAK_NEAR": "the text says nearly the same as a held-out row",
    "LEAK_BENCHMARK": "the text repeats a row of a benchmark",
}
"""What each code says, of rows in quarantine or, where a policy says so, of rows kept."""


@dataclass(frozen=True)
class Outcome:
    """What is known when every row has its fate: `kept` counts rows that show something and are kept, by code; `digest` is of the rows."""

    spool: Spool
    fates: Fates
    counts: RowCounts
    quarantine: Quarantine
    kept: Mapping[str, Tally]
    format: Detected
    digest: str


def build_report(data: DataConfig, outcome: Outcome, *, template: ChatTemplate, embedder: Embedder | None) -> DataReport:
    """Looks at the rows as a whole and adds what was found row by row.

    Args:
        embedder: makes sentence embeddings; null: rows are not compared by meaning.
    """
    embedded_rows = data.checks.embedded_rows if embedder else 0
    overview = look_over(outcome.spool, outcome.fates.kept("text", "side"), most=MOST_ROWS, most_of_side=embedded_rows)
    diversity = build_diversity(overview.sample, overview.rows["told"])
    sample = sample_rows(overview.sample, SAMPLE_ROWS)
    told = [language for language in detect_languages(sample["input"].fill_null("").to_list()) if language is not None]
    chats = sample.select("instruction", "input", "output", "turns").iter_rows()
    tokens = [template.count_tokens(messages_of(*chat)) for chat in chats]
    shown = partial(excerpt, presidio=data.sensitive.presidio)
    meaning = check_meaning(overview.sample, embedded_rows, embedder, shown) if embedder else Meaning((), None)
    profile = build_profile(overview.rows, tokens=tokens, languages=Languages(_shares(told), len(told)), embedded=meaning.embedded)
    found = [*_removed(outcome, shown), *_kept(outcome, shown), *_duplicates(outcome)]

    def show(rows: pl.DataFrame) -> tuple[Example, ...]:
        first = rows.sort("file", "line", "row_id").head(SHOWN)
        return examples_of(outcome.spool.rows(first.select("row_id")), shown)

    return DataReport(
        digest=outcome.digest,
        source=without_secrets(data.source.path),
        format=outcome.format.format,
        format_reason=outcome.format.why,
        counts=outcome.counts,
        findings=(*found, *check_dataset(overview, diversity, show, shown), *meaning.findings),
        profile=profile,
        diversity=diversity,
        near_jaccard=data.split.near_jaccard,
        near_clusters=outcome.fates.cluster_sizes,
        held_by_earlier_runs=outcome.fates.split["recorded"].count(),
    )


def write_report(folder: Path, report: DataReport) -> None:
    """Keeps the report beside the rows."""
    write_json(folder / _REPORT, report.model_dump(mode="json"))


def read_report(folder: Path) -> DataReport:
    """Reads what :func:`write_report` wrote."""
    return DataReport.model_validate_json((folder / _REPORT).read_bytes())


def warnings_of(report: DataReport) -> tuple[str, ...]:
    """What somebody should look at, one sentence each."""
    return tuple(f"{found.code}: {found.message}" for found in report.findings if found.level == "warning")


def _removed(outcome: Outcome, excerpt: Excerpt) -> list[Finding]:
    rows = outcome.quarantine.examples()
    looked_at = outcome.counts.read - outcome.counts.unselected
    return [
        Finding(code=code, level="removed", count=count, looked_at=looked_at, message=_REMOVED[code], examples=_shown(rows, code, excerpt))
        for code, count in outcome.quarantine.count_by_code().items()
    ]


def _shown(rows: pl.DataFrame, code: str, excerpt: Excerpt) -> tuple[Example, ...]:
    examples = rows.filter(pl.col("code") == code).select("file", "line", "text").iter_rows()
    return tuple(Example(file=file, line=line, text=excerpt(text)) for file, line, text in examples)


def _kept(outcome: Outcome, excerpt: Excerpt) -> list[Finding]:
    looked_at = outcome.counts.read - outcome.counts.unselected - outcome.counts.quarantined
    named = sorted({row_id for tally in outcome.kept.values() for row_id in tally.examples})
    rows = outcome.spool.rows(pl.DataFrame({"row_id": named}, schema={"row_id": pl.String}))
    found = []
    for code, tally in outcome.kept.items():
        examples = examples_of(rows.filter(pl.col("row_id").is_in(list(tally.examples))), excerpt)
        message = _REMOVED[code.removeprefix("MASKED_")] + (", and a placeholder stands in its place" if code.startswith("MASKED_") else "")
        found.append(Finding(code=code, level="info", count=tally.rows, looked_at=looked_at, message=message, examples=examples))
    return found


def _duplicates(outcome: Outcome) -> list[Finding]:
    messages = {"exact": "rows repeat another one", "near": "rows nearly repeat another one with the same answer"}
    counts = {str(kind): int(count) for kind, count in outcome.fates.duplicates["kind"].value_counts().iter_rows()}
    return [
        Finding(
            code=f"DUPLICATE_{kind.upper()}", level="info", count=count, looked_at=outcome.counts.read,
            message=f"{messages[kind]}; one of them is kept",
        )
        for kind, count in sorted(counts.items())
    ]  # fmt: skip


def _shares(names: Sequence[str]) -> dict[str, float]:
    counts = pl.Series("name", names, dtype=pl.String).value_counts(sort=True)
    return {name: count / len(names) for name, count in counts.sort(["count", "name"], descending=[True, False]).iter_rows()}
