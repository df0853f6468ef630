"""Turns a template into a page that needs nothing but itself."""

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from tasks.pages.display import counted, figure, number, percent, sentence, shown, spans

_FOLDER = Path(__file__).parent


def render(folder: Path, name: str = "page.html", **values: object) -> str:
    """Fills one of a stage's templates, in the look of all pages and of the stage's own `page.css`.

    The page loads nothing and runs no script. Values are escaped; `shown` in the template makes control characters visible.

    Args:
        folder: where template and stylesheet of the page lie.
        name: the template.
    """
    style = "".join((place / "page.css").read_text(encoding="utf-8") for place in (_FOLDER, folder))
    # The policy names the style's hash: a style that came in with a row would not count.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _template(folder, name).render(style=Markup(style), style_hash=f"sha256-{digest}", **values)


@cache
def _template(folder: Path, name: str) -> jinja2.Template:
    loader = jinja2.FileSystemLoader([folder, _FOLDER])
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        number=number, percent=percent, counted=counted, figure=figure, shown=shown, spans=spans, sentence=sentence,
        place="{:.3f}".format,
    )  # fmt: skip
    return environment.get_template(name)
