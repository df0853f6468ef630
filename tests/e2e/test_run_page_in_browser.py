"""The run's page in a real browser: it asks for nothing, fits a phone, can be read in the dark, and shows no row's markup."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tasks.report.page import render_page
from tests.browser import open_browser, screenshots_folder
from tests.finished_runs import FinishedRun, classified, replied
from tests.reports import HOSTILE

QUEUES = (
    "data_reporting",
    "email_calendar",
    "erp_finance",
    "file_storage",
    "hr_payroll",
    "identity_access",
    "laptop_hardware",
    "network_vpn",
)
RUNS: dict[str, Callable[[Path], FinishedRun]] = {
    "twelve queues": lambda folder: classified(folder, labels=QUEUES, rows=240),
    "77 labels": lambda folder: classified(
        folder, labels=[f"balance_not_updated_after_{n:02}" for n in range(77)], rows=400, champion=False
    ),
    "replies": replied,
    "hostile": lambda folder: classified(folder, labels=HOSTILE, rows=40, text="".join(HOSTILE), answer=HOSTILE[1]),
}

_OPEN_ALL = "document.querySelectorAll('details').forEach(details => { details.open = true })"
_TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_OUTSIDE = """
() => [...document.querySelectorAll('svg text')].filter(text => {
  const box = text.getBoundingClientRect();
  return box.left < -1 || box.right > document.documentElement.clientWidth + 1;
}).map(text => text.textContent)
"""
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
  const contrast = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const faint = [];
  for (const element of document.body.querySelectorAll(':not(title)')) {
    const text = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    const drawn = element.matches('.interval, .point, .dot, .bars rect:not(.track), .whole rect, .dense .cell');
    if (!text && !drawn) continue;
    const style = getComputedStyle(element);
    const ink = parse(element instanceof SVGElement ? style.fill : style.color);
    const grounds = [behind(element)];
    if (element.matches('.interval, .point')) {
      const plot = element.closest('svg').querySelector('.allowed');
      if (plot) grounds.push(parse(getComputedStyle(plot).fill));
    }
    if (element.matches('.cells text'))
      for (const cell of document.querySelectorAll('.cell')) grounds.push(parse(getComputedStyle(cell).fill));
    for (const ground of grounds)
      if (contrast(ink, ground) < (text ? 4.5 : 3)) { faint.push(`${element.tagName} ${ink} on ${ground}: ${element.textContent}`); break; }
  }
  return faint;
}
"""
"""Texts with a contrast below 4.5 to 1 and marks with one below 3 to 1, also on what they are drawn over (WCAG 2.2: 1.4.3, 1.4.11)."""


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


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of each run in a file."""
    places = {name: tmp_path_factory.mktemp("run") for name in RUNS}
    for name, place in places.items():
        (place / "report.html").write_text(render_page(RUNS[name](place).material("gate_failed")), encoding="utf-8")
    return {name: place / "report.html" for name, place in places.items()}


@pytest.fixture
def pages(browser: Any, files: dict[str, Path]) -> Iterator[Any]:
    """Opens a run's page from its file."""
    contexts = []

    def opened(name: str, width: int = 1280, scheme: str = "light") -> Opened:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        opened = Opened(contexts[-1].new_page())
        opened.page.on("request", lambda request: opened.asked.append(request.url))
        opened.page.on("console", lambda message: opened.said.append(message.text))
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.goto(files[name].as_uri(), wait_until="networkidle")
        return opened

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("run", RUNS)
def test_the_page_fits_its_window_asks_for_nothing_and_complains_of_nothing(pages: Any, files: Any, run: str, width: int) -> None:
    opened = pages(run, width)
    folded = opened.page.evaluate(_TOO_WIDE)
    opened.page.evaluate(_OPEN_ALL)
    assert (folded, opened.page.evaluate(_TOO_WIDE)) == (0, 0)
    assert opened.page.evaluate(_OUTSIDE) == []
    assert opened.asked == [files[run].as_uri()]
    assert opened.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("run", ["twelve queues", "77 labels"])
def test_texts_and_marks_stand_out_from_what_they_are_drawn_on(pages: Any, run: str, scheme: str) -> None:
    opened = pages(run, scheme=scheme)
    opened.page.evaluate(_OPEN_ALL)
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert opened.page.evaluate(_FAINT) == []


def test_markup_in_rows_is_shown_and_does_nothing(pages: Any) -> None:
    page = pages("hostile").page
    assert page.title().startswith("Run report: Failed")
    assert page.locator("style").count() == 1
    assert page.locator("script, img").count() == 0
    prompt = page.locator("#examples details[open] .prompt").first
    assert prompt.is_visible()
    assert "</script><script>document.title='x'</script>" in prompt.inner_text()


def test_the_interval_stands_where_its_numbers_say(pages: Any) -> None:
    page = pages("twelve queues").page
    plot = page.get_by_role("img", name="0.853 with interval [0.814, 0.884]; has to be above 0.800")
    boxes = {name: plot.locator(f".{name}").first.bounding_box() for name in ("allowed", "interval", "point", "bound")}
    point = boxes["point"]["x"] + boxes["point"]["width"] / 2
    assert boxes["bound"]["x"] < boxes["interval"]["x"] < point < boxes["interval"]["x"] + boxes["interval"]["width"]
    share = (point - boxes["interval"]["x"]) / boxes["interval"]["width"]
    assert share == pytest.approx((0.853 - 0.814) / (0.884 - 0.814), abs=0.02)
    assert boxes["allowed"]["x"] == pytest.approx(boxes["bound"]["x"], abs=1.5)


def test_what_is_folded_on_the_screen_is_unfolded_on_paper(pages: Any) -> None:
    page = pages("twelve queues").page
    lost = page.locator("#examples details").nth(1).locator(".prompt").first
    assert not lost.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert lost.is_visible()


def test_parts_of_the_page_have_names_and_headings(pages: Any) -> None:
    for width, name in ((1280, "run-page.png"), (390, "run-page-phone.png")):
        page = pages("twelve queues", width).page
        assert page.get_by_role("heading", level=1).count() == 1
        links = page.get_by_role("navigation", name="Parts of this page").get_by_role("link")
        assert links.count() == page.locator("main > section").count()
        assert all(plot.get_attribute("aria-label") for plot in page.get_by_role("img").all())
        page.screenshot(path=screenshots_folder() / name, clip={"x": 0, "y": 0, "width": width, "height": 1180}, full_page=True)
