"""Reports of preparation to look at: one as of a real data set, an almost empty one, one of a single row, a hostile one."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tasks.artifacts import RowCounts
from tasks.data.findings import Bin, DataReport, Diversity, Drift, Example, Finding, Level, Profile

_ABOUT = (
    "card_payment", "direct_debit", "transfer", "top_up_by_card", "cash_withdrawal", "exchange", "virtual_card", "contactless",
    "passcode", "beneficiary", "refund",
)  # fmt: skip
_WHAT = ("not_recognised", "fee_charged", "pending", "declined", "limits", "wrong_amount", "not_received")
_LENGTHS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

HOSTILE = (
    "</script><script>document.title='x'</script>", "<img src=x onerror=\"document.title='x'\">", "\"'><style>*{display:none}</style>",
    "שלום \u202etxt.exe\u202c, مرحبا", "\x00\x1b[31m\x7f\u0085\u2028", "<!--", "{{ 7 * 7 }}{% endraw %}", "&lt;b&gt;&#x3c;", "]]>",
    "w" * 10_000,
)  # fmt: skip
"""Texts that would break out of a page that is not careful."""


def bins(counts: list[int], width: float, start: float = 0) -> tuple[Bin, ...]:
    """Histogram bars of equal width."""
    return between([start + place * width for place in range(len(counts) + 1)], counts)


def between(edges: Sequence[float], counts: Sequence[int]) -> tuple[Bin, ...]:
    """Histogram bars between two neighbouring edges each."""
    return tuple(Bin(low=low, high=high, count=count) for (low, high), count in zip(pairwise(edges), counts, strict=True))


def finding(code: str, level: Level, count: int, looked_at: int, message: str, hint: str = "", *texts: str) -> Finding:
    """A finding with an example for each text, on lines far from each other."""
    examples = tuple(Example(file="train.csv", line=17 + 1313 * place, text=text) for place, text in enumerate(texts))
    return Finding(code=code, level=level, count=count, looked_at=looked_at, message=message, hint=hint, examples=examples)


def make_profile(rows: int, **changes: Any) -> Profile:
    """A profile of nothing but its number of rows, and the fields given."""
    values: dict[str, Any] = {
        "rows": rows, "characters": (), "answer_characters": (), "tokens": (), "tokens_looked_at": 0, "labels": {}, "languages": {},
        "languages_looked_at": 0, "centroid": (), "spread": None, "embedded": 0,
    }  # fmt: skip
    return Profile(**(values | changes))


def make_report(counts: Mapping[str, int], **changes: Any) -> DataReport:
    """A report of nothing but its counts, and the fields given; `read` is the sum of the counts."""
    fates = dict.fromkeys(("train", "validation", "test", "quarantined", "duplicates", "unselected", "set_aside"), 0) | dict(counts)
    kept = fates["train"] + fates["validation"] + fates["test"]
    values: dict[str, Any] = {
        "digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "source": "rows.jsonl", "format": "instruction",
        "format_reason": "every record has `instruction` and `output`", "counts": RowCounts(read=sum(fates.values()), **fates),
        "findings": (), "profile": make_profile(kept), "near_jaccard": None, "near_clusters": {}, "held_by_earlier_runs": 0,
        "diversity": Diversity(looked_at=0, distinct_1=0, distinct_2=0, templated=0, instructions=0, instruction_entropy=0),
    }  # fmt: skip
    return DataReport(**(values | changes))


def banking_report() -> DataReport:
    """As of 13,083 banking questions in 77 classes, with findings of every level."""
    fates = {"train": 8620, "validation": 953, "test": 2897, "quarantined": 301, "duplicates": 112, "unselected": 0, "set_aside": 200}
    labels = {f"{about}_{what}": 95 + 13 * ((7 * a + 3 * w) % 11) for a, about in enumerate(_ABOUT) for w, what in enumerate(_WHAT)}
    labels["refund_pending"], labels["passcode_limits"] = 9, 2
    labels["transfer_pending"] += 12_470 - sum(labels.values())
    profile = make_profile(
        12_470,
        characters=between(_LENGTHS[2:], [42, 903, 3522, 3310, 1871, 1460, 902, 298, 131, 31]),
        answer_characters=between(_LENGTHS[:6], [155, 1204, 4790, 5511, 810]),
        tokens=between(_LENGTHS[3:10], [12, 440, 910, 402, 180, 56]), tokens_looked_at=2000, labels=labels,
        languages={"en": 0.9985, "de": 0.001, "nl": 0.0005}, languages_looked_at=2000, centroid=(0.6, 0.8), spread=0.412, embedded=1000,
    )  # fmt: skip
    return make_report(
        fates, source="/srv/data/banking77/train.csv", format="columns",
        format_reason="`source.columns` names the columns `text` and `category`",
        findings=_banking_findings(), profile=profile, near_jaccard=0.65, held_by_earlier_runs=12_204,
        near_clusters={2: 611, 3: 140, 4: 52, 5: 21, 6: 9, 7: 5, 8: 2, 9: 2, 11: 1, 14: 1, 23: 1, 40: 1},
        diversity=Diversity(looked_at=2000, distinct_1=0.0712, distinct_2=0.3391, templated=0.0, instructions=1, instruction_entropy=0.0),
    )  # fmt: skip


def banking_drift() -> Drift:
    """A previous run with other labels, and without embeddings."""
    return Drift(
        previous_rows=10_003, length_psi=0.013, label_distance=0.214, language_distance=0.008, embedding_distance=None,
        limits={"length_psi": 0.2, "label_distance": 0.1, "language_distance": 0.1},
        warnings=("the labels have moved by 0.214 since the previous run, most of all `transfer_pending`",),
    )  # fmt: skip


def one_row_report() -> DataReport:
    """A single row, which is no data set."""
    one = bins([1], 10, 40)
    profile = make_profile(
        1, characters=one, answer_characters=bins([1], 10), tokens=one, tokens_looked_at=1, labels={"network": 1}, languages={"en": 1.0},
        languages_looked_at=1,
    )  # fmt: skip
    return make_report({"train": 1}, profile=profile, near_jaccard=0.65)


def hostile_report() -> DataReport:
    """Markup, control characters and very long texts wherever a text of somebody else may stand."""
    examples = tuple(Example(file=text, line=1, text=text) for text in HOSTILE)
    findings = tuple(
        Finding(code=text, level="warning", count=1, looked_at=2, message=text, hint=text, examples=examples) for text in HOSTILE
    )
    profile = make_profile(20, labels=dict.fromkeys(HOSTILE, 2), languages=dict.fromkeys(HOSTILE, 0.1), languages_looked_at=20)
    return make_report(
        {"train": 16, "validation": 2, "test": 2}, source=HOSTILE[0] + HOSTILE[-1], format=HOSTILE[1], format_reason=HOSTILE[2],
        digest=HOSTILE[3], findings=findings, profile=profile,
    )  # fmt: skip


def hostile_drift() -> Drift:
    """Warnings made of the same texts."""
    return Drift(
        previous_rows=0, length_psi=None, label_distance=None, language_distance=None, embedding_distance=None, limits={}, warnings=HOSTILE,
    )  # fmt: skip


def _banking_findings() -> tuple[Finding, ...]:
    read = 13_083
    return (
        finding("LABEL_RARE", "warning", 2, 77, "labels with fewer than 10 rows", "add rows, or leave them out with `source.labels`"),
        finding("SECRET", "removed", 4, read, "rows hold a key, a token or a password", "the policy is `data.sensitive.secret`",
                "My password is <SECRET> and the app does not take it", "token=<SECRET> gives an error when I top up"),
        finding("LEAK_NEAR", "removed", 188, 9761, "training rows nearly repeat a row held out for measuring", "",
                "I still have not got my new card, I ordered it over a week ago.", "Is there a way to know when my card will come?"),
        finding("LEAK_EXACT", "removed", 61, 9761, "training rows repeat a row held out for measuring", "", "How do I locate my card?"),
        finding("LEAK_BENCHMARK", "removed", 3, 9761, "rows repeat a text of `data.split.benchmark_paths`"),
        finding("CARD", "removed", 17, read, "rows hold the number of a payment card", "mask them with `data.sensitive.card=mask`",
                "The payment with <CARD> was declined twice, why?"),
        finding("BROKEN_ENCODING", "removed", 28, read, "rows hold replacement characters, or UTF-8 that was read as something else",
                "save the source as UTF-8 again", "I can\ufffdt find the transfer to my son\u00e2\u20ac\u2122s account\u2028at all\x00"),
        finding("INCONSISTENT_ANSWERS", "warning", 38, 12_470, "19 prompts have different answers, in 38 of 12,470 rows",
                "at most one label can be right: compare these rows and correct or remove them",
                "why was I charged → card_payment_fee_charged", "why was I charged → direct_debit_fee_charged"),
        finding("EMAIL", "info", 23, read, "rows hold an email address", "", "please write to <EMAIL> when it is done"),
        finding("DUPLICATE", "info", 112, read, "rows say the same as another one, after case, spaces and punctuation are made equal"),
    )  # fmt: skip
