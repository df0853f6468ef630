"""What a person sees of preparation: a page that needs nothing but itself, and the same in short for Prefect."""

import math
from pathlib import Path
from typing import Any, Literal

from tasks.artifacts import Record
from tasks.data.charts import histogram, sizes
from tasks.data.findings import DataReport, Drift, Finding, Level
from tasks.pages.charts import FATES, Bar, Part, bars, parts_of
from tasks.pages.display import counted, figure, listed, markdown, number, percent
from tasks.pages.rendering import render

_SIDES = ("train", "validation", "test")

_LEVELS: dict[Level, tuple[str, str]] = {
    "removed": ("Removed", "these rows are in quarantine"),
    "warning": ("Warnings", "these rows are kept, and somebody should look"),
    "info": ("For information", "figures without a judgement"),
}

_LEAKS = {
    "LEAK_EXACT": "Same text as a held-out row",
    "LEAK_GROUP": "Same group as a held-out row",
    "LEAK_NEAR": "Nearly the same text as a held-out row",
    "LEAK_BENCHMARK": "In a benchmark",
}

_MOVES = {
    "length_psi": ("Lengths", "population stability index, over bins of the previous lengths"),
    "label_distance": ("Labels", "Jensen-Shannon distance, 0 to 1"),
    "language_distance": ("Languages", "Jensen-Shannon distance, 0 to 1"),
    "embedding_distance": ("Meaning", "cosine distance of the mean embeddings"),
}

_LABELS_SHOWN = 200
_FOLDER = Path(__file__).parent


class Verdict(Record):
    """The page's first line."""

    status: Literal["ready", "review", "unusable"]
    word: str
    sentence: str


def render_page(report: DataReport, drift: Drift | None) -> str:
    """One HTML page for whoever decides whether the data is fit. It loads nothing and runs no script.

    Whatever comes from rows, labels and file names is escaped, cut and made visible (`tasks.pages.display.shown`).

    Args:
        drift: since the previous run; null: there was none.
    """
    return render(_FOLDER, report=report, profile=report.profile, diversity=report.diversity, drift=drift, **_view(report, drift))


def summary_markdown(report: DataReport, drift: Drift | None, page_path: Path) -> str:
    """The same in short, as GitHub-flavoured Markdown: rows in and out, findings with counts, drift. No text of a row is in it."""
    verdict = verdict_of(report, drift)
    lines = [f"**{verdict.word}.** {verdict.sentence}", "", "| rows | count | share |", "| --- | ---: | ---: |"]
    lines += [f"| {part.name} | {number(part.count)} | {percent(part.share)} |" for part in parts_of(report.counts)]
    lines += [f"| **Read** | **{number(report.counts.read)}** | |"]
    if report.findings:
        lines += ["", "| level | finding | count | of |", "| --- | --- | ---: | ---: |"]
    lines += [
        f"| {found.level} | {markdown(found.code)}: {markdown(found.message, 300)} | {number(found.count)} | {number(found.looked_at)} |"
        for found in by_weight(report.findings)
    ]
    if drift is not None:
        lines += ["", _drift_sentence(drift), "", *[f"- {markdown(warning, 300)}" for warning in drift.warnings]]
    return "\n".join([*lines, "", f"Page with plots and examples: {markdown(str(page_path), 500)}", ""])


def verdict_of(report: DataReport, drift: Drift | None) -> Verdict:
    """What the counts and levels say in one sentence. Nothing is judged here that a check has not judged."""
    counts = report.counts
    kept = counts.train + counts.validation + counts.test
    empty = [f"no {FATES[side][0].lower()} rows" for side in _SIDES if not getattr(counts, side)]
    warnings = sum(found.level == "warning" for found in report.findings) + len(drift.warnings if drift else ())
    of = f"{number(kept)} of {counted(counts.read, 'row')} read {'is' if kept == 1 else 'are'} kept"
    if empty:
        return Verdict(status="unusable", word="Not usable", sentence=f"{of}, but there are {listed(empty)}.")
    if warnings:
        needs = "needs" if warnings == 1 else "need"
        return Verdict(status="review", word="Needs a look", sentence=f"{of}, and {counted(warnings, 'warning')} {needs} your judgement.")
    return Verdict(status="ready", word="Ready", sentence=f"{of}, and no check has a warning.")


def by_weight(findings: tuple[Finding, ...]) -> list[Finding]:
    """Removed rows first, then warnings, then figures; the most frequent first."""
    order = list(_LEVELS)
    return sorted(findings, key=lambda found: (order.index(found.level), -found.count, found.code))


def _view(report: DataReport, drift: Drift | None) -> dict[str, Any]:
    """What the template shows besides the records themselves."""
    profile, parts = report.profile, parts_of(report.counts)
    return {
        "verdict": verdict_of(report, drift),
        "parts": parts,
        "fates": {key: meaning for key, (_, meaning) in FATES.items()},
        "sums": {"test": _sum("Kept", parts[: len(_SIDES)]), "set_aside": _sum("Left out", parts[len(_SIDES) :])},
        "levels": _levels(report.findings),
        "lengths": {name: histogram(getattr(profile, name)) for name in ("characters", "answer_characters", "tokens")},
        "labels": _labels(profile.labels),
        "near": _near(report),
        "leaks": _leaks(report.findings),
        "variety": _variety(report),
        "languages": bars(sorted(profile.languages.items(), key=lambda item: (-item[1], item[0])), total=1.0),
        "drift_sentence": _drift_sentence(drift) if drift else "",
        "moves": _moves(drift) if drift else [],
        "coverage": _coverage(report),
    }


def _sum(name: str, parts: tuple[Part, ...]) -> dict[str, Any]:
    return {"name": name, "count": sum(part.count for part in parts), "share": sum(part.share for part in parts)}


def _levels(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    ordered = by_weight(findings)
    every = [
        {"key": key, "name": name, "meaning": meaning, "findings": [found for found in ordered if found.level == key]}
        for key, (name, meaning) in _LEVELS.items()
    ]
    return [level for level in every if level["findings"]]


def _labels(counts: dict[str, int]) -> dict[str, Any]:
    """All labels with the most frequent first; of very many only the ends, where imbalance shows."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if not ordered:
        return {"groups": []}
    most, least = ordered[0][1], ordered[-1][1]
    span = counted(most, "row") if most == least else f"{number(least)} to {counted(most, 'row')}"
    text = f"{counted(len(ordered), 'label')}, of {span} each."
    every = bars(ordered)
    if len(ordered) <= _LABELS_SHOWN:
        return {"sentence": text, "groups": [("All labels, the largest first", every)]}
    half = _LABELS_SHOWN // 2
    return {"sentence": text, "groups": [(f"The {half} largest", every[:half]), (f"The {half} smallest", every[-half:])]}


def _near(report: DataReport) -> dict[str, Any]:
    if report.near_jaccard is None:
        return {"sentence": "Rows that say nearly the same were not looked for.", "clusters": ()}
    alike = f"a Jaccard similarity of {report.near_jaccard:g} or more"
    clusters = {size: count for size, count in report.near_clusters.items() if count}
    if not clusters:
        return {"sentence": f"No two rows kept are nearly the same: none has {alike} with another.", "clusters": ()}
    rows = sum(size * count for size, count in clusters.items())
    text = (
        f"Nearly the same, with {alike}: {counted(rows, 'row')} in {counted(sum(clusters.values()), 'cluster')}, the largest of "
        f"{number(max(clusters))}."
    )
    return {"sentence": text, "clusters": bars([(f"Clusters of {size}", count) for size, count in sizes(clusters)])}


def _leaks(findings: tuple[Finding, ...]) -> dict[str, Any]:
    found = [finding for finding in by_weight(findings) if finding.code.startswith("LEAK_")]
    if not found:
        return {"sentence": "No check found a row that repeats one held out for measuring.", "kinds": ()}
    kinds = [(_LEAKS.get(finding.code, finding.code), finding.count) for finding in found]
    return {"sentence": "Rows that repeat what is held out for measuring. A row may show several kinds.", "kinds": bars(kinds)}


def _variety(report: DataReport) -> list[dict[str, str]]:
    """The figures that were measured."""
    diversity, profile, facts = report.diversity, report.profile, []
    if diversity.looked_at:
        facts += [
            _fact("Distinct words", percent(diversity.distinct_1), "different words, among all words"),
            _fact("Distinct word pairs", percent(diversity.distinct_2), "different pairs of neighbours, among all pairs"),
            _fact("Templated texts", percent(diversity.templated), "texts that differ from many others in names and numbers only"),
            _fact("Instructions", number(diversity.instructions), "different ones"),
            _fact("Evenness of instructions", figure(diversity.instruction_entropy), "1: all equally frequent; 0: there is one only"),
        ]
    if profile.spread is not None:
        note = f"mean cosine distance from the centre, of {counted(profile.embedded, 'row')}; 0: all alike"
        facts.append(_fact("Spread of meaning", figure(profile.spread), note))
    return facts


def _fact(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "note": note}


def _moves(drift: Drift) -> list[dict[str, Any]]:
    """Each figure of drift beside its limit. One without a previous figure is not comparable, which is not the same as unmoved."""
    return [
        {
            "name": name, "note": note, "value": figure(value), "comparable": value is not None, "limit": figure(drift.limits.get(key)),
            "beyond": value is not None and value > drift.limits.get(key, math.inf),
            "gauge": None if value is None or key not in drift.limits else min(100.0, 50 * value / drift.limits[key]),
        }
        for key, (name, note) in _MOVES.items()
        for value in [getattr(drift, key)]
    ]  # fmt: skip


def _drift_sentence(drift: Drift) -> str:
    said = counted(len(drift.warnings), "warning") if drift.warnings else "no warning"
    return f"Compared with the {counted(drift.previous_rows, 'row')} of the previous run: {said}."


def _coverage(report: DataReport) -> tuple[Bar, ...]:
    """How many of the rows kept each figure was computed from."""
    profile = report.profile
    looked = [
        ("Lengths in characters", profile.rows),
        ("Labels", profile.rows if profile.labels else 0),
        ("Lengths in tokens", profile.tokens_looked_at),
        ("Languages", profile.languages_looked_at),
        ("Variety of words and instructions", report.diversity.looked_at),
        ("Meaning", profile.embedded),
    ]
    return bars(looked, total=profile.rows)
