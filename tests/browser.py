"""Where the browser is, and where its pictures go."""

import os
import shutil
from pathlib import Path
from tempfile import mkdtemp


def chromium_path() -> str | None:
    """Debian's Chromium, under either of its names; null if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def screenshots_folder() -> Path:
    """`docs/images` if `TUNEGATE_UPDATE_SCREENSHOTS` is set, else a folder that is thrown away."""
    if os.environ.get("TUNEGATE_UPDATE_SCREENSHOTS"):
        folder = Path(__file__).parents[1] / "docs" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return Path(mkdtemp())
