"""The page of preparation in a real browser: it asks for nothing, fits a phone, can be read in the dark, and shows no row's markup."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tasks.data.findings import DataReport
from tasks.data.page import render_page
from tests.browser import open_browser, screenshots_folder
from tests.reports import banking_drift, banking_report, hostile_drift, hostile_report, make_report, one_row_report

REPORTS = {"banking": banking_report, "one row": one_row_report, "no row": lambda: make_report({}), "hostile": hostile_report}

_OPEN_ALL = "document.querySelectorAll('details').forEach(details => { details.open = true })"
_TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_FAINT = """
() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.body.querySelectorAll(':not(title):not(.track)')) {
    const text = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!text && element.tagName !== 'rect') continue;
    const style = getComputedStyle(element);
    const [ink, ground] = [element instanceof SVGElement ? style.fill : style.color, behind(element)];
    const [high, low] = [light(parse(ink)), light(ground)].sort((a, b) => b - a);
    if ((high + 0.05) / (low + 0.05) < (text ? 4.5 : 3)) faint.push(`${element.tagName} ${ink} on ${ground}: ${element.textContent}`);
  }
  return faint;
}
"""
"""Texts with a contrast below 4.5 to 1 and bars with one below 3 to 1: what WCAG 2.2 asks for (1.4.3, 1.4.11)."""


@dataclass
class Opened:
    """A page in the browser, what it asked for, and what it said to the console."""

    page: Any
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def pages(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens a report's page from its file."""
    contexts = []

    def opened(report: DataReport, width: int = 1280, scheme: str = "light") -> Opened:
        path = tmp_path / "data_page.html"
        path.write_text(render_page(report, hostile_drift() if report == hostile_report() else banking_drift()), encoding="utf-8")
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        opened = Opened(contexts[-1].new_page())
        opened.page.on("request", lambda request: opened.asked.append(request.url))
        opened.page.on("console", lambda message: opened.said.append(message.text))
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.goto(path.as_uri(), wait_until="networkidle")
        assert opened.asked == [path.as_uri()]
        return opened

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [320, 400, 768, 1280])
@pytest.mark.parametrize("report", REPORTS)
def test_the_page_fits_its_window_and_asks_for_nothing(pages: Any, report: str, width: int) -> None:
    opened = pages(REPORTS[report](), width)
    folded = opened.page.evaluate(_TOO_WIDE)
    opened.page.evaluate(_OPEN_ALL)
    assert (folded, opened.page.evaluate(_TOO_WIDE)) == (0, 0)
    assert len(opened.asked) == 1
    assert opened.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_bars_stand_out_from_their_ground(pages: Any, scheme: str) -> None:
    opened = pages(banking_report(), scheme=scheme)
    opened.page.evaluate(_OPEN_ALL)
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert opened.page.evaluate(_FAINT) == []


def test_markup_in_rows_is_shown_and_does_nothing(pages: Any) -> None:
    page = pages(hostile_report()).page
    assert page.title().startswith("Data report: </script>")
    assert page.locator("style").count() == 1
    assert page.locator("script, img").count() == 0
    assert page.locator("#labels li").count() == len(hostile_report().profile.labels)
    assert page.get_by_text("<img src=x onerror=\"document.title='x'\">").first.is_visible()


def test_the_bar_is_as_wide_as_its_parts_together(pages: Any) -> None:
    page = pages(banking_report(), 400).page
    whole = page.locator("svg.whole").evaluate("bar => bar.getBoundingClientRect().width")
    widths = page.locator("svg.whole rect").evaluate_all("parts => parts.map(part => part.getBBox().width)")
    assert len(widths) == 6
    assert sum(widths) == pytest.approx(whole, abs=0.5)
    assert min(widths) >= 2


def test_what_is_folded_on_the_screen_is_unfolded_on_paper(pages: Any) -> None:
    page = pages(banking_report()).page
    example = page.get_by_text("My password is <SECRET> and the app does not take it")
    assert not example.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert example.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_plots_and_parts_of_the_page_have_names(pages: Any) -> None:
    page = pages(banking_report()).page
    names = [plot.get_attribute("aria-label") for plot in page.get_by_role("img").all()]
    assert [name for name in names if name] == names
    assert names[0] == (
        "Where the rows went: Training 8,620, Validation 953, Test 2,897, Quarantined 301, Duplicates 112, Not selected 0, Set aside 200; "
        "together 13,083 rows read."
    )
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("navigation", name="Parts of this page").get_by_role("link").count() == page.locator("main > section").count()
    page.screenshot(path=screenshots_folder() / "data-page.png")
