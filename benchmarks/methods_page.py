"""What the benchmark of methods found, as a page with a plot; the plot is an SVG written here, so that no library draws it."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from benchmarks.methods_one import Measured

NAMES = {
    "full": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA", "prefix": "prefix tuning", "prompt": "prompt tuning",
    "adapter": "bottleneck adapters", "ia3": "(IA)³",
}  # fmt: skip

_COLUMNS = (
    "method", "accuracy", "over the base", "held-out loss", "trainable parameters", "peak memory", "weights on disk", "seconds", "epochs",
    "learning rate",
)  # fmt: skip

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 24, 56
_FRAME, _GRID, _TEXT, _DOT, _BASE = "#8c959f", "#d0d7de", "#24292f", "#0969da", "#cf222e"


def write_page(found: Mapping[str, Measured], docs: Path, machine: Mapping[str, str | float]) -> list[Path]:
    """Writes `reference/methods.md` and `images/methods.svg`; returns their paths. Nothing was measured: nothing is written."""
    if not found:
        return []
    page, plot = docs / "reference" / "methods.md", docs / "images" / "methods.svg"
    for path, content in ((page, render_page(found, machine)), (plot, render_plot(found))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return [page, plot]


def render_page(found: Mapping[str, Measured], machine: Mapping[str, str | float]) -> str:
    """The page in Markdown."""
    some = next(iter(found.values()))
    lines = [
        "# The methods, measured",
        "",
        f"Written by `make bench-methods` on {machine['cores']} core(s) of {machine['processor']}: SmolLM2-135M-Instruct on Banking77,",
        f"{some['train_rows']:,} training rows, {some['test_rows']:,} test rows, each method with its default settings. Accuracy is exact",
        "match of greedy answers; the base is told all labels and may only answer one of them. Held-out loss is in nats a token of the",
        "test rows' answers; seconds are those of optimizer steps.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_row(method, result) for method, result in found.items()),
        "",
        "![Accuracy against the number of trainable parameters](../images/methods.svg)",
    ]
    missing = [NAMES[method] for method in NAMES if method not in found]
    if missing:
        lines += ["", f"Not measured: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def _row(method: str, result: Measured) -> str:
    loss = "not finite" if result["heldout_loss"] is None else f"{result['heldout_loss']:.3f}"
    cells = (
        NAMES[method], f"{result['accuracy']:.3f}", f"{result['accuracy'] - result['base_accuracy']:+.3f}", loss,
        f"{result['trainable_parameters']:,}", f"{result['peak_gib']:.2f} GiB", f"{result['adapter_mib']:.1f} MiB",
        f"{result['seconds']:.0f}", f"{result['epochs']:g}", f"{result['learning_rate']:g}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def render_plot(found: Mapping[str, Measured]) -> str:
    """Accuracy over trainable parameters, which are on a logarithmic scale; the base is a dashed line."""
    decades = [math.log10(result["trainable_parameters"]) for result in found.values()]
    low, high = math.floor(min(decades)), math.ceil(max(decades))
    high = high if high > low else low + 1

    def across(parameters: float) -> float:
        return _LEFT + (math.log10(parameters) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def down(accuracy: float) -> float:
        return _HEIGHT - _BOTTOM - accuracy * (_HEIGHT - _TOP - _BOTTOM)

    base = max(result["base_accuracy"] for result in found.values())
    parts = [
        *_axes(range(low, high + 1), across, down),
        _line(_LEFT, down(base), _WIDTH - _RIGHT, down(base), _BASE, ' stroke-dasharray="5 4"'),
        _text(_WIDTH - _RIGHT + 6, down(base) + 4, f"base {base:.3f}", _BASE),
        *_dots(found, across, down),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n<title>Accuracy and trainable parameters</title>\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _axes(decades: Sequence[int], across: Callable[[float], float], down: Callable[[float], float]) -> list[str]:
    parts = []
    for tenth in range(0, 11, 2):
        y = down(tenth / 10)
        parts += [_line(_LEFT, y, _WIDTH - _RIGHT, y, _GRID), _text(_LEFT - 8, y + 4, f"{tenth / 10:.1f}", anchor="end")]
    for decade in decades:
        x = across(10.0**decade)
        parts += [_line(x, _TOP, x, _HEIGHT - _BOTTOM, _GRID), _text(x, _HEIGHT - _BOTTOM + 18, _count(decade), anchor="middle")]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [
        *parts,
        _line(_LEFT, _TOP, _LEFT, _HEIGHT - _BOTTOM, _FRAME),
        _line(_LEFT, _HEIGHT - _BOTTOM, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, _FRAME),
        _text(middle, _HEIGHT - 14, "trainable parameters", anchor="middle"),
        _text(_LEFT - 44, _TOP - 8, "accuracy"),
    ]


def _dots(found: Mapping[str, Measured], across: Callable[[float], float], down: Callable[[float], float]) -> list[str]:
    """A dot and a name for each method; names that would lie over each other are moved down."""
    parts: list[str] = []
    taken: list[tuple[float, float]] = []
    for method, result in sorted(found.items(), key=lambda entry: -entry[1]["accuracy"]):
        x, y = across(result["trainable_parameters"]), down(result["accuracy"])
        level = y + 4
        while any(abs(level - other) < 13 and abs(x - beside) < 130 for beside, other in taken):
            level += 13
        taken.append((x, level))
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{_DOT}"/>', _text(x + 9, level, NAMES[method])]
    return parts


def _count(decade: int) -> str:
    return f"{10 ** (decade % 3)}{' KMB'[decade // 3]}".replace(" ", "")


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{more}/>'


def _text(x: float, y: float, text: str, colour: str = _TEXT, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
