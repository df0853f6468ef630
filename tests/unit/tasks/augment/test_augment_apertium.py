"""Apertium: rows stay apart whatever one of them does to the chain of programs."""

import os
import time
from pathlib import Path

import pytest

from tasks.augment.apertium import ApertiumTranslator, open_apertium
from tasks.augment.back_translation import BackTranslation, Translation
from tasks.augment.operators import Missing, Request

_STAND_IN = """#!/usr/bin/env -S python3 -I -S
import re, sys, time
text = sys.stdin.read()
open({log!r}, "a").write(f"{{text.count('.[]')}}\\n")
if "hangs" in text:
    time.sleep(60)
if "crashes" in text:
    sys.exit(3)
if "swallows" in text:
    text = re.sub(r"\\[\\d+:\\]", "", text, count=1)
if "shifts" in text:
    text = text.replace(".[][0:]", "[0:].[]")
sys.stdout.write(text.replace("word", "palabra").replace("strange", "*strange").replace("lost", "@lost").replace("bent", "#bent"))
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that is called as Apertium is, and does what a text says; returns the log of how many lines each process was given."""
    log, program = tmp_path / "log", tmp_path / "bin" / "apertium"
    modes = tmp_path / "share" / "apertium" / "modes"
    modes.mkdir(parents=True)
    program.parent.mkdir()
    program.write_text(_STAND_IN.format(log=str(log)))
    program.chmod(0o755)
    (tmp_path / "rules.bin").write_text("rules")
    for mode in ("eng-spa", "spa-eng"):
        (modes / f"{mode}.mode").write_text(f"lt-proc '{tmp_path / 'rules.bin'}'")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return log


def opened(**settings: float) -> ApertiumTranslator:
    ways = open_apertium("en", "es", **settings)
    assert not isinstance(ways, Missing)
    return ways[0]


def test_a_batch_is_one_process(stand_in: Path) -> None:
    made = opened().translate([f"word {number}" for number in range(300)])
    assert [each.text for each in made] == [f"palabra {number}" for number in range(300)]
    assert stand_in.read_text().split() == ["300"]


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ("this crashes", Translation(None, "translator failed", final=False)),
        ("this swallows", Translation(None, "damaged by the translator")), ("this shifts", Translation(None, "damaged by the translator")),
    ],
)  # fmt: skip
def test_a_row_that_breaks_the_chain_costs_no_other_row_its_translation(stand_in: Path, bad: str, fault: Translation) -> None:
    texts = ["word 0", "word 1", bad, "word 3", "word 4"]
    made = opened().translate(texts)
    assert made[2] == fault
    assert [each.text for each in made[:2] + made[3:]] == ["palabra 0", "palabra 1", "palabra 3", "palabra 4"]


def test_a_process_that_hangs_is_ended_and_costs_no_other_row_its_translation(stand_in: Path) -> None:
    started = time.monotonic()
    made = opened(seconds=4.0).translate(["word", "this hangs"])
    assert made == [Translation("palabra"), Translation(None, "time-out", final=False)]
    assert time.monotonic() - started < 40


@pytest.mark.parametrize("word", ["strange", "lost", "bent"])
def test_a_text_with_a_word_that_is_marked_has_no_translation(stand_in: Path, word: str) -> None:
    made = opened().translate([f"a {word} word", "a word"])
    assert made == [Translation(None, "unknown word"), Translation("a palabra")]


def test_signs_of_the_chain_s_own_come_back_as_they_were(stand_in: Path) -> None:
    texts = ["[0:] {a} ^b$ c/d \\e <EMAIL> me@here.com", "*already* #12 @here", "[1:].[] x", "ends.[]"]
    assert [each.text for each in opened().translate(texts)] == texts


def test_lines_stay_lines_and_control_characters_are_spaces(stand_in: Path) -> None:
    made = opened().translate(["a word\n\n  another word\x00\x1b  here \n", "\tword"])
    assert [each.text for each in made] == ["a palabra\n\nanother palabra here", "palabra"]


def test_the_version_follows_the_rules(stand_in: Path, tmp_path: Path) -> None:
    before = opened().version
    assert opened().version == before
    (tmp_path / "rules.bin").write_text("other rules")
    assert opened().version != before


def test_what_is_not_installed_is_named_with_the_command_that_brings_it(stand_in: Path) -> None:
    assert open_apertium("en", "ca") == Missing(
        "back_translation", "Apertium with the pair en-ca", "apt-get install apertium apertium-eng-cat"
    )
    assert open_apertium("es", "en") != open_apertium("en", "es")
    (stand_in.parent / "share" / "apertium" / "modes" / "spa-eng.mode").unlink()
    assert open_apertium("en", "es") == Missing("back_translation", "Apertium with the pair en-es", "make system-deps")


REAL = open_apertium("en", "es")
needs_apertium = pytest.mark.skipif(isinstance(REAL, Missing), reason="Apertium with the pair en-es is not installed: make system-deps")


@needs_apertium
def test_apertium_itself_goes_there_and_back() -> None:
    assert not isinstance(REAL, Missing)
    texts = [
        "I want to see my new card.",
        "The invoice 4711 of March",
        "[5:] my card",
        "a card\nand a house",
        "xyzzyx my card",
        "My card ^a$",
    ]
    requests = [Request(str(number), text, 1) for number, text in enumerate(texts)]
    made = {candidate.key: candidate for candidate in BackTranslation(*REAL, "en").reword(requests)}
    assert len(made) == len(texts)
    assert "card" in (made["0"].text or "")
    assert "4711" in (made["1"].text or "")
    assert (made["2"].text or "").startswith("[5:]")
    assert (made["3"].text or "").count("\n") == 1
    assert (made["4"].text, made["4"].reason) == (None, "unknown word")
    alone = next(BackTranslation(*REAL, "en").reword(requests[:1]))
    assert alone == made["0"], "neighbours change nothing"
