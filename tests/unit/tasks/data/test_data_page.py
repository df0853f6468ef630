"""What the page and the summary say, and that nothing in them comes from a row but its visible text."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tasks.artifacts import RowCounts
from tasks.data.charts import histogram, sizes
from tasks.data.findings import Bin, Drift, Example, Finding, Profile
from tasks.data.page import by_weight, render_page, summary_markdown, verdict_of
from tasks.pages.charts import bars, parts_of, stack
from tasks.pages.display import figure, number, percent, shown, spans
from tests.reports import (
    HOSTILE,
    banking_drift,
    banking_report,
    bins,
    finding,
    hostile_drift,
    hostile_report,
    make_profile,
    make_report,
    one_row_report,
)

FIT = {"train": 80, "validation": 10, "test": 10}
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=60))


class Parsed(HTMLParser):
    """A page as a browser takes it apart: elements with their attributes' names, and the text of the body."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.pieces: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(" ".join([tag, *[name for name, _ in attrs]]))

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def handle_comment(self, data: str) -> None:
        self.elements.append("comment")

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())


def said_by(text: str) -> Any:
    """A report with one text wherever a text of somebody else may stand."""
    example = Example(file=text, line=1, text=text)
    found = Finding(code="C" + text, level="warning", count=1, looked_at=2, message=text, hint="x" + text, examples=(example,))
    profile = make_profile(100, labels={text: 100}, languages={text: 1.0}, languages_looked_at=100)
    return make_report(FIT, source=text, format=text, format_reason=text, digest=text, findings=(found,), profile=profile)


def drift_of(*warnings: str, **figures: float | None) -> Drift:
    values: dict[str, Any] = dict.fromkeys(("length_psi", "label_distance", "language_distance", "embedding_distance"))
    return Drift(previous_rows=90, limits={}, warnings=warnings, **(values | figures))


@given(TEXTS)
def test_no_text_of_a_row_becomes_markup(text: str) -> None:
    # Backticks make `code` of what is between them, which is the page's own doing.
    text = text.replace("`", "'")
    plain, page = (render_page(said_by(said), drift_of(said)) for said in ("plain", text))
    assert Parsed(page).elements == Parsed(plain).elements
    assert page.count("<!--") == 0


@given(TEXTS)
def test_no_text_of_a_row_becomes_markup_in_the_summary(text: str) -> None:
    found = Finding(code=text, level="info", count=1, looked_at=2, message=text)
    summary = summary_markdown(make_report(FIT, findings=(found,)), drift_of(text), Path("/runs") / "page.html")
    tokens = MarkdownIt("commonmark").enable("table").parse(summary)
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} <= {"text", "strong_open", "strong_close"}
    rows = [token for token in tokens if token.type == "tr_open"]
    assert len(rows) == 1 + len(FIT) + 4 + 1 + 2
    assert {token.type for token in tokens} & {"html_block", "fence", "code_block", "heading_open"} == set()
    texts = ["".join(child.content for child in token.children or ()) for token in tokens if token.type == "inline"]
    assert texts[-2] == shown(text, 300).strip() or not text.strip()


def test_the_summary_shows_the_very_text() -> None:
    message = "a|b `c` <d> https://e.example *f* \\g"
    summary = summary_markdown(make_report(FIT, findings=(finding("CODE", "info", 1, 2, message),)), None, Path("page.html"))
    cells = [token.content for token in MarkdownIt("commonmark").enable("table").parse(summary) if token.type == "inline"]
    [cell] = [cell for cell in cells if cell.startswith("CODE")]
    assert MarkdownIt("commonmark").renderInline(cell) == "CODE: a|b `c` &lt;d&gt; https://e.example *f* \\g"
    assert "https://" not in summary


def test_the_page_forbids_everything_but_its_own_style() -> None:
    page = render_page(banking_report(), banking_drift())
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\"" in page
    assert {element.split()[0] for element in Parsed(page).elements} & {"script", "img", "link", "iframe", "object", "form"} == set()
    attributes = {name for element in Parsed(page).elements for name in element.split()[1:]}
    assert [name for name in attributes if name in {"style", "src", "srcset"} or name.startswith("on")] == []
    assert set(re.findall(r'href="(.)', page)) == {"#"}
    assert re.findall(r"url\(|@import", style) == []


def test_links_within_the_page_lead_somewhere() -> None:
    page = render_page(one_row_report(), None)
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(re.findall(r' id="([^"]*)"', page))


def test_the_same_report_gives_the_same_page() -> None:
    assert render_page(banking_report(), banking_drift()) == render_page(banking_report(), banking_drift())


def test_the_page_says_how_the_rows_add_up() -> None:
    text = Parsed(render_page(banking_report(), None)).text
    sum_up = (
        "13,083 read = 8,620 training + 953 validation + 2,897 test + 301 quarantined + 112 duplicates + 0 not selected + 200 set aside"
    )
    assert sum_up in text
    assert "Kept 12,470 95.3%" in text
    assert "Left out 613 4.7%" in text
    assert "Read 13,083 100.0%" in text


@pytest.mark.parametrize(
    ("counts", "levels", "status", "sentence"),
    [
        (FIT | {"quarantined": 5}, ["removed", "info"], "ready", "100 of 105 rows read are kept, and no check has a warning."),
        (FIT, ["warning"], "review", "100 of 100 rows read are kept, and 1 warning needs your judgement."),
        (FIT, ["warning", "warning"], "review", "100 of 100 rows read are kept, and 2 warnings need your judgement."),
        ({"train": 1}, [], "unusable", "1 of 1 row read is kept, but there are no validation rows and no test rows."),
        ({}, [], "unusable", "0 of 0 rows read are kept, but there are no training rows, no validation rows and no test rows."),
    ],
)
def test_the_verdict_is_one_sentence(counts: dict[str, int], levels: list[Any], status: str, sentence: str) -> None:
    report = make_report(counts, findings=tuple(finding("CODE", level, 1, 1, "message") for level in levels))
    verdict = verdict_of(report, None)
    assert (verdict.status, verdict.sentence) == (status, sentence)
    assert sentence in Parsed(render_page(report, None)).text
    assert sentence in summary_markdown(report, None, Path("page.html"))


def test_warnings_of_drift_ask_for_a_look_too() -> None:
    assert verdict_of(make_report(FIT), drift_of("labels moved")).sentence.endswith("and 1 warning needs your judgement.")


def test_findings_stand_in_the_order_of_their_weight() -> None:
    mixed = (
        finding("I", "info", 99, 100, "i"), finding("W2", "warning", 2, 100, "w"), finding("R", "removed", 1, 100, "r"),
        finding("W1", "warning", 3, 100, "w"), finding("W0", "warning", 2, 100, "w"),
    )  # fmt: skip
    assert [found.code for found in by_weight(mixed)] == ["R", "W1", "W0", "W2", "I"]
    page = render_page(make_report(FIT, findings=mixed), None)
    assert re.findall(r'<p class="code"><code>(\w+)', page) == ["R", "W1", "W0", "W2", "I"]


def test_a_finding_has_its_counts_hint_and_examples() -> None:
    found = finding("SECRET", "removed", 4, 13_083, "rows hold `keys`", "see data.sensitive", "token=<SECRET>")
    page = render_page(make_report(FIT, findings=(found,)), None)
    text = Parsed(page).text
    assert "4 <0.1% of 13,083 Rows hold keys SECRET" in text
    assert "See data.sensitive" in text
    assert "1 masked example File and line Excerpt train.csv , line 17 token=<SECRET>" in text
    assert "<code>keys</code>" in page


def test_what_was_sampled_is_said_to_be() -> None:
    text = Parsed(render_page(banking_report(), None)).text
    assert "Whole row, in tokens A sample of 2,000 of 12,470 rows: half have fewer than 64 tokens, all fewer than 192." in text
    assert "Text All 12,470 rows: half have fewer than 64 characters, all fewer than 512." in text
    assert "Languages A sample of 2,000 of 12,470 rows." in text
    assert "mean cosine distance from the centre, of 1,000 rows; 0: all alike" in text


def test_what_was_not_looked_at_is_not_said_to_be_fine() -> None:
    text = Parsed(render_page(make_report(FIT), None)).text
    assert "Rows that say nearly the same were not looked for." in text
    assert "Answers are free text" in text
    assert text.count("Not measured.") == 3
    assert "Variety Not looked at." in text
    assert "Languages Not looked at." in text
    assert "There is no previous run to compare with." in text
    assert "Lengths in tokens 0 not looked at" in text


def test_leakage_is_counted_by_kind() -> None:
    text = Parsed(render_page(banking_report(), None)).text
    assert "Nearly the same text as a held-out row 188 Same text as a held-out row 61 In a benchmark 3" in text


def test_an_unknown_kind_of_leakage_has_its_code() -> None:
    report = make_report(FIT, findings=(finding("LEAK_MEANING", "warning", 7, 100, "rows mean the same"),))
    assert "LEAK_MEANING 7" in Parsed(render_page(report, None)).text


def test_drift_stands_beside_its_limits() -> None:
    drift = drift_of(length_psi=0.0131, label_distance=0.5, language_distance=0.1)
    limits = {"length_psi": 0.2, "label_distance": 0.499, "language_distance": 0.1, "embedding_distance": 0.1}
    page = render_page(make_report(FIT), drift.model_copy(update={"limits": limits}))
    text = Parsed(page).text
    assert "over bins of the previous lengths 0.013 0.200" in text
    assert '<strong class="warning">0.500</strong>' in page
    assert page.count('<strong class="warning">') == 1
    assert "cosine distance of the mean embeddings not comparable 0.100" in text
    assert page.count('class="moved') == 3


def test_all_of_two_hundred_labels_are_shown_and_of_more_the_ends() -> None:
    def shown_labels(count: int) -> list[str]:
        labels = {f"label-{place:03}": place + 1 for place in range(count)}
        page = render_page(make_report(FIT, profile=make_profile(sum(labels.values()), labels=labels)), None)
        return re.findall(r"<bdi>(label-\d+)</bdi>", page)

    assert shown_labels(200) == [f"label-{place:03}" for place in reversed(range(200))]
    of_more = shown_labels(300)
    assert (of_more[0], of_more[99], of_more[100], of_more[-1]) == ("label-299", "label-200", "label-099", "label-000")


@pytest.mark.parametrize("report", [banking_report(), one_row_report(), make_report({}), hostile_report()])
def test_every_plot_has_its_numbers_in_words(report: Any) -> None:
    page = render_page(report, hostile_drift())
    graphics = re.findall(r"<svg[^>]*>", page)
    assert graphics
    assert all('aria-hidden="true"' in graphic or ('role="img"' in graphic and 'aria-label="' in graphic) for graphic in graphics)


@given(st.lists(st.integers(0, 10**9), min_size=7, max_size=7))
def test_the_bar_of_all_rows_is_full_and_shows_every_part(counts: list[int]) -> None:
    fates = dict(zip(("train", "validation", "test", "quarantined", "duplicates", "unselected", "set_aside"), counts, strict=True))
    parts = parts_of(RowCounts(read=sum(counts), **fates))
    assert sum(part.count for part in parts) == sum(counts)
    assert sum(part.width for part in parts) == pytest.approx(100 if any(counts) else 0)
    assert all((part.width >= 0.5) == (part.count > 0) for part in parts)
    assert all(part.start == pytest.approx(sum(before.width for before in parts[:place])) for place, part in enumerate(parts))


@given(st.lists(st.integers(0, 10**6), max_size=80))
def test_columns_fill_the_plot_and_labels_of_the_axis_do_not_meet(counts: list[int]) -> None:
    plot = histogram(bins(counts, 10))
    assert sum(column.count for column in plot.columns) == plot.total == sum(counts)
    assert sum(column.width for column in plot.columns) == pytest.approx(100 if counts else 0)
    assert all(0 <= column.height <= 100 for column in plot.columns)
    places = [tick.place for tick in plot.ticks]
    assert len(places) <= 6
    assert all(right - left >= 100 / 6 - 1e-9 for left, right in pairwise(places))
    if plot.middle is not None:
        below = sum(column.count for column in plot.columns if column.high <= plot.middle.high)
        assert 2 * below >= plot.total > 2 * (below - plot.middle.count)


def test_bins_of_different_ranges_are_said_to_be() -> None:
    sentence = "Columns stand for ranges of different size"
    uneven = (Bin(low=0, high=10, count=2), Bin(low=10, high=1000, count=3))
    assert not histogram(uneven).even
    text = Parsed(render_page(make_report(FIT, profile=make_profile(5, characters=uneven)), None)).text
    assert sentence in text
    assert sentence not in Parsed(render_page(one_row_report(), None)).text


def test_many_sizes_of_clusters_are_put_together() -> None:
    assert sizes({3: 1, 2: 5}) == [("2", 5), ("3", 1)]
    together = sizes(dict.fromkeys(range(2, 20), 1))
    assert together == [("2", 1), ("3", 1), ("4", 1), ("5–8", 4), ("9–16", 8), ("17–32", 3)]


def test_no_rows_have_no_shares() -> None:
    assert [part.share for part in stack({"a": ("A", 0)})] == [0.0]
    assert [(bar.share, bar.width) for bar in bars([("a", 0)])] == [(0.0, 0.0)]


def test_numbers_are_written_one_way() -> None:
    assert [number(value) for value in (0, 12_341, 0.25, 10.0, 1234.567)] == ["0", "12,341", "0.25", "10", "1,234.57"]
    assert [percent(share) for share in (0, 0.0004, 0.0005, 0.123, 0.9996, 1)] == ["0.0%", "<0.1%", "0.1%", "12.3%", ">99.9%", "100.0%"]
    assert [figure(value) for value in (None, 0.0, 0.12345)] == ["–", "0.000", "0.123"]


def test_what_cannot_be_seen_is_written_out() -> None:
    assert shown("a\x00b\u202ec\r\nd\te\u2028") == "a[U+0000]b[U+202E]c↵d⇥e[U+2028]"
    assert shown("👩\u200d💻 שלום") == "👩\u200d💻 שלום"
    assert shown("w" * 10_000) == "w" * 80 + "… (10,000 characters)"
    assert shown("w" * 80) == "w" * 80


def test_backticks_mark_names_only_in_pairs() -> None:
    assert spans("see `a.b` and `c`") == [("see ", False), ("a.b", True), (" and ", False), ("c", True)]
    assert spans("one ` only") == [("one ` only", False)]


def test_a_large_report_makes_a_page_of_moderate_size() -> None:
    profile: Profile = make_profile(10**6, labels={f"{place}" + "w" * 10_000: 1 for place in range(300)})
    assert len(render_page(make_report(FIT, profile=profile), None)) < 200_000
