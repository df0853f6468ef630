"""Where the browser is, and where its pictures go."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

_OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium_path() -> str | None:
    """Debian's Chromium, under either of its names; null if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def open_browser() -> Iterator[Any]:
    """A headless Chromium that asks nobody for anything. Without one the test is skipped, and says so."""
    from playwright.sync_api import sync_playwright

    executable = chromium_path()
    if executable is None:
        pytest.skip("chromium is missing: `make system-deps` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_OPTIONS))
        yield browser
        browser.close()


def screenshots_folder() -> Path:
    """`docs/images` if `TUNEGATE_UPDATE_SCREENSHOTS` is set, else a folder that is thrown away."""
    if os.environ.get("TUNEGATE_UPDATE_SCREENSHOTS"):
        folder = Path(__file__).parents[1] / "docs" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return Path(mkdtemp())
