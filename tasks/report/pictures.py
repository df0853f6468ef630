"""The page's drawings as files of their own, for Prefect's and MLflow's pages."""

from pathlib import Path

from tasks.pages.rendering import render
from tasks.report.material import Material
from tasks.report.page import confusion_in
from tasks.report.page_curves import draw_curves
from tasks.report.page_gates import drawn_gates

_FOLDER = Path(__file__).parent
_WIDTH = 760
_HEIGHT_OF_GATE = 92
_HEIGHT_OF_LABEL = 22


def pictures_of(material: Material) -> dict[str, str]:
    """SVG by name: `gates`, `loss`, `confusion`, as far as there is something to draw. Like the page they load nothing."""
    pictures = {}
    if material.report is not None and material.report.gates:
        gates = drawn_gates(material.report.gates, material.config.gates)
        pictures["gates"] = _picture(24 + _HEIGHT_OF_GATE * len(gates), gates=gates)
    curves = draw_curves(material.trained.curve, material.trained.shipped_step)
    if curves is not None:
        pictures["loss"] = _picture(272, curves=curves)
    confusion = confusion_in(material)
    if confusion is not None:
        tall = _HEIGHT_OF_LABEL * (confusion.labels + 1) if confusion.axes else 420
        pictures["confusion"] = _picture(32 + tall, width=_WIDTH if confusion.axes else 460, confusion=confusion)
    return pictures


def _picture(height: int, width: int = _WIDTH, **drawn: object) -> str:
    return render(
        _FOLDER, "picture.svg", **({"gates": None, "curves": None, "confusion": None} | drawn), width=width, height=height
    ).strip()
