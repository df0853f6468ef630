"""Writes page, model card and drawings into the run's folder. What cannot be written is said, and nothing else ends with it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from pipeline_config.errors import TunegateError
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import Record, RunContext
from tasks.files import FIGURES, MODEL_CARD, RUN_PAGE, run_folder, write_atomically
from tasks.report.material import Material, gather
from tasks.report.summary import Outcome, RunParts

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Written(Record):
    """What lies in the run's folder now; `faults` are sentences that say what does not, and why.

    `pictures` are the drawings by their names, and `markdown` the whole in short.
    """

    page: Path | None = None
    card: Path | None = None
    pictures: dict[str, Path] = Field(default_factory=dict)
    markdown: str = ""
    faults: tuple[str, ...] = ()


def write_report(config: PipelineConfig, context: RunContext, parts: RunParts) -> Written:
    """Everything, for a run that has been judged and goes on. A run that did not reach evaluation has none of it, which is no fault."""
    from tasks.report.card import model_card
    from tasks.report.page import render_page
    from tasks.report.pictures import pictures_of
    from tasks.report.short import report_markdown

    folder, faults = run_folder(context.workspace, context.run_id), list[str]()
    material = _tried("the page's material", lambda: gather(config, context, parts, None, folder), faults)
    if material is None:
        return Written(faults=tuple(faults))
    page = _tried("the page", lambda: _kept(folder / RUN_PAGE, render_page(material)), faults)
    return Written(
        page=page,
        card=_tried("the model card", lambda: _kept(folder / MODEL_CARD, model_card(material)), faults),
        pictures=_tried("the drawings", lambda: _drawn(folder / FIGURES, pictures_of(material)), faults) or {},
        markdown=_tried("the short report", lambda: report_markdown(material, page), faults) or "",
        faults=tuple(faults),
    )


def write_page(config: PipelineConfig, context: RunContext, parts: RunParts, outcome: Outcome | None, folder: Path) -> Written:
    """The page alone: of a run that is over, with its version, its promotion and all its stages, or of a later report on it.

    Args:
        folder: where the page shall lie.
    """
    from tasks.report.page import render_page

    faults = list[str]()

    def build() -> Path | None:
        material: Material | None = gather(config, context, parts, outcome, folder)
        return _kept(folder / RUN_PAGE, render_page(material)) if material else None

    return Written(page=_tried("the page", build, faults), faults=tuple(faults))


def _tried(what: str, build: Callable[[], T], faults: list[str]) -> T | None:
    try:
        return build()
    # A verdict is worth more than its page: whatever it is, it is said and the run goes on.
    except Exception as error:
        _log.exception("%s could not be written", what)
        said = error.what if isinstance(error, TunegateError) else f"{type(error).__name__}: {error}"
        faults.append(f"{what} could not be written: {next(iter(said.splitlines()), type(error).__name__)}")
        return None


def _kept(path: Path, text: str) -> Path:
    write_atomically(path, text.encode())
    return path


def _drawn(folder: Path, pictures: dict[str, str]) -> dict[str, Path]:
    return {name: _kept(folder / f"{name}.svg", picture) for name, picture in pictures.items()}
