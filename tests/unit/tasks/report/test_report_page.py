"""What the run's page says, and that nothing in it comes from a row but its visible, masked text."""

import base64
import hashlib
import re
import xml.dom.minidom
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.artifacts import Ablation, AblationArm, Augmentation, EvaluationResult, GateResult, OperatorCounts, SliceResult
from tasks.files import DATA_PAGE, run_folder
from tasks.report.page import render_page
from tasks.report.pictures import pictures_of
from tasks.report.short import report_markdown
from tests.finished_runs import DIGEST, GATES, FinishedRun, classified, make_gate, replied
from tests.reports import HOSTILE

TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=60))


class Parsed(HTMLParser):
    """A page as a browser takes it apart: elements with their attributes' names, and the text."""

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


def augmentation_that_says(text: str) -> Augmentation:
    """One operator that worked, one that is not there, one that was dropped; reasons of refusals may be an endpoint's own words."""
    nothing: dict[str, Any] = {"version": None, "asked": 0, "accepted": 0, "rejected": {}, "similarity": None, "seconds": 0.0}
    worked = OperatorCounts(
        name="back_translation", version=DIGEST, asked=1200, accepted=900, rejected={f"r{text}": 200, "too short": 100}, similarity=0.91234,
        seconds=1.5,
    )  # fmt: skip
    arms = (
        AblationArm(
            name="back_translation", accepted=900, rows=400, value=0.812, without=0.75, lift=0.062, interval=(0.01, 0.114), kept=True
        ),
        AblationArm(name="synonym", accepted=50, rows=400, value=0.74, without=0.75, lift=-0.01, interval=(-0.05, 0.03), kept=False),
    )
    off = (
        OperatorCounts(name="paraphrase", **nothing, missing=f"augmentation: paraphrase is off: m{text}"),
        OperatorCounts(name="synonym", **nothing, dropped=f"d{text}"),
    )
    ablation = Ablation(folder=Path("gone"), steps=120, arms=arms)
    return Augmentation(rows=900, operators=(worked, *off), ablation=ablation)


def said_by(run: FinishedRun, text: str) -> FinishedRun:
    """The same run with one text wherever a text of somebody else may stand."""
    parts = run.parts
    assert parts.evaluated is not None
    assert parts.judged is not None
    assert parts.data is not None
    frame = pl.read_parquet(parts.evaluated.folder / "predictions.parquet")
    said = dict.fromkeys(("base", "tuned", "champion"), f"X{text}")
    folder = parts.evaluated.folder.with_name("hostile")
    folder.mkdir(exist_ok=True)
    frame.with_columns(**{name: pl.lit(value) for name, value in said.items()}).write_parquet(folder / "predictions.parquet")
    gates = tuple(gate.model_copy(update={"name": f"g{text}", "reason": f"r{text}", "kind": f"k{text}"}) for gate in GATES)
    report = parts.judged.report.model_copy(update={"gates": gates})
    evaluated = parts.evaluated.model_copy(update={"folder": folder, "champion_name": f"c{text}", "champion_fault": f"f{text}"})
    changed = parts.model_copy(
        update={
            "evaluated": evaluated, "judged": parts.judged.model_copy(update={"report": report}), "error": f"e{text}",
            "data": parts.data.model_copy(
                update={"instruction": f"i{text}", "warnings": (f"w{text}",), "augmentation": augmentation_that_says(text)}
            ),
            "faults": (f"f{text}",),
        }
    )  # fmt: skip
    return run._replace(parts=changed)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return classified(tmp_path_factory.mktemp("run"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
def test_no_text_of_somebody_else_becomes_markup(run: FinishedRun, text: str) -> None:
    # Backticks make `code` of what is between them, which is the page's own doing.
    text = text.replace("`", "'")
    plain, page = (render_page(said_by(run, said).material("error")) for said in ("plain", text))
    assert Parsed(page).elements == Parsed(plain).elements
    assert page.count("<!--") == 0


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_row_becomes_markup(tmp_path: Path, text: str) -> None:
    plain = render_page(classified(tmp_path / "plain", text="plain").material())
    page = render_page(classified(tmp_path / "hostile", text=text).material())
    assert sorted(set(Parsed(page).elements)) == sorted(set(Parsed(plain).elements))


def test_a_script_in_a_prompt_stays_text(tmp_path: Path) -> None:
    page = render_page(classified(tmp_path, text="<script>alert(1)</script>").material())
    assert "<script" not in page
    assert "<script>alert(1)</script>" in Parsed(page).text


@pytest.mark.parametrize("text", HOSTILE)
def test_pictures_are_xml_whatever_the_labels_are(tmp_path: Path, text: str) -> None:
    made = classified(tmp_path, labels=(text, "b", "c"), gates=(make_gate("min_accuracy", "threshold"),))
    pictures = pictures_of(said_by(made, text).material())
    assert set(pictures) == {"gates", "loss", "confusion"}
    for picture in pictures.values():
        found = xml.dom.minidom.parseString(picture)
        assert not found.getElementsByTagName("script")
        assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")


def test_personal_data_and_secrets_are_masked(tmp_path: Path) -> None:
    text = "write to jane.doe@example.org, card 4111 1111 1111 1111, password=hunter2-Xk9"
    page = render_page(classified(tmp_path, text=text, answer="call jane.doe@example.org").material())
    assert "<EMAIL>" in Parsed(page).text
    assert [secret for secret in ("jane.doe", "4111", "hunter2") if secret in page.split('id="examples"')[1].split("</section>")[0]] == []


def test_only_test_rows_are_shown(tmp_path: Path) -> None:
    made = classified(tmp_path)
    assert made.parts.evaluated is not None
    path = made.parts.evaluated.folder / "predictions.parquet"
    frame = pl.read_parquet(path)
    foreign = frame.with_columns(row_id=pl.concat_str(pl.lit("train-"), "row_id"), tuned=pl.lit("from a training row"))
    pl.concat([foreign, frame]).write_parquet(path)
    examples = render_page(made.material()).split('id="examples"')[1].split("</section>")[0]
    assert "from a training row" not in examples
    assert "the vpn drops" in examples


def test_the_page_forbids_everything_but_its_own_style(run: FinishedRun) -> None:
    page = render_page(run.material("gate_failed"))
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\"" in page
    parsed = Parsed(page)
    assert {element.split()[0] for element in parsed.elements} & {"script", "img", "link", "iframe", "object", "form"} == set()
    attributes = {name for element in parsed.elements for name in element.split()[1:]}
    assert [name for name in attributes if name in {"style", "src", "srcset"} or name.startswith("on")] == []
    assert re.findall(r"url\(|@import", style) == []


def test_links_lead_to_the_parts_of_the_page_and_to_the_servers(run: FinishedRun) -> None:
    page = render_page(run.material("gate_failed"))
    links = re.findall(r'href="([^"]*)"', page)
    assert {link[1:] for link in links if link.startswith("#")} == set(re.findall(r'<section id="([^"]*)"', page))
    assert [link for link in links if not link.startswith("#")] == [
        "http://prefect/runs/p", "http://mlflow/#/runs/m", "http://mlflow/#/models/desk/versions/3",
    ]  # fmt: skip


def test_an_address_that_is_none_is_no_link(run: FinishedRun) -> None:
    context = run.context.model_copy(update={"prefect_run_url": "javascript:alert(1)"})
    assert "javascript" not in render_page(run._replace(context=context).material())


def test_the_page_of_preparation_is_linked_where_it_is(tmp_path: Path) -> None:
    made = classified(tmp_path)
    folder = run_folder(made.context.workspace, made.context.run_id)
    assert DATA_PAGE not in render_page(made.material())
    folder.mkdir(parents=True)
    (folder / DATA_PAGE).touch()
    assert f'href="{DATA_PAGE}"' in render_page(made.material())


PASSED = (make_gate("min_accuracy", "threshold"), make_gate("fit", "overfitting"))
HELD = (*PASSED, make_gate("not_worse", "non_inferiority", "hold"))


@pytest.mark.parametrize(
    ("verdict", "gates", "sentence"),
    [
        ("pass", PASSED, "All 2 gates that apply passed: the tuned model has 83.3% of 48 test rows right, the base 25.0%, desk-v2 81.2%."),
        ("pass", (*PASSED, make_gate("n", "leakage", "not_applicable")), "All 2 gates that apply passed: "),
        ("fail", GATES, "1 of 4 gates failed (no overfitting): the tuned model has 83.3% of 48 test rows right"),
        ("hold", HELD, "Not enough evidence: 1 of 3 gates could not decide (not worse). So far the tuned model has"),
        ("hold", (), "Not enough evidence: no gate of a kind that is required passed."),
    ],
)
def test_the_verdict_is_one_sentence(tmp_path: Path, verdict: Any, gates: tuple[GateResult, ...], sentence: str) -> None:
    page = render_page(classified(tmp_path, verdict=verdict, gates=gates).material())
    assert sentence in Parsed(page).text
    assert page.count("<h1>") == 1


def test_the_sentence_rounds_as_the_tables_do(tmp_path: Path) -> None:
    made = classified(tmp_path, rows=400)
    assert made.parts.evaluated is not None
    figures = made.parts.evaluated.tuned.model_copy(update={"values": {"accuracy": 0.8525}})
    parts = made.parts.model_copy(update={"evaluated": made.parts.evaluated.model_copy(update={"tuned": figures})})
    text = Parsed(render_page(made._replace(parts=parts).material())).text
    assert "has 85.3% of 400 test rows right" in text
    assert "Accuracy 0.250 0.853" in text


def test_a_run_whose_gates_were_not_judged_says_so(run: FinishedRun) -> None:
    parts = run.parts.model_copy(update={"judged": None, "registered": None, "error": "GateError: out of paper\nwhere: there"})
    page = render_page(run._replace(parts=parts).material("error"))
    text = Parsed(page).text
    assert "Not judged The gates were not judged: the tuned model has" in text
    assert "GateError: out of paper" in text
    assert 'id="gates"' not in page


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (None, ""),
        ("passed", "desk-v3 is live."),
        ("awaiting_approval", "desk-v3 awaits approval."),
        ("rejected", "desk-v3 was rejected by a reviewer"),
        ("error", "ended with an error"),
    ],
)
def test_the_page_says_what_became_of_the_version(run: FinishedRun, outcome: Any, sentence: str) -> None:
    page = render_page(run.material(outcome))
    assert (sentence in Parsed(page).text) if sentence else ('class="lead"' not in page)


def test_what_failed_comes_first_and_every_gate_says_why(run: FinishedRun) -> None:
    page = render_page(run.material())
    names = re.findall(r"<h3 class=\"(\w+)\">.*?<bdi>(.*?)</bdi>", page, re.DOTALL)
    assert names[:2] == [("fail", "no overfitting"), ("hold", "not worse than champion")]
    text = Parsed(page).text
    assert "-0.010 [-0.061, +0.038] 400 rows Tuned is" in text
    assert "about 900 more rows would decide" in text


def test_examples_stand_side_by_side_with_what_was_right(run: FinishedRun) -> None:
    text = Parsed(render_page(run.material())).text
    # Of 48 rows the champion was trained on 6, which are left out against it.
    assert "Against the base 12 28 0 8" in text
    assert "Tuned right, champion wrong: 7 rows" in text
    assert "6 rows of them the champion had been trained on" in text
    assert re.search(r"Expected \w+ Base wrong \w+ Tuned right \w+ Champion wrong \w+", text)


def test_every_fifth_row_is_lost_to_nobody_without_a_champion(tmp_path: Path) -> None:
    text = Parsed(render_page(classified(tmp_path, champion=False).material())).text
    assert "Against the champion" not in text
    assert "Tuned right, base wrong: 28 rows, 5 shown" in text


def test_free_answers_have_slices_and_scores_and_no_confusion(tmp_path: Path) -> None:
    page = render_page(replied(tmp_path).material())
    text = Parsed(page).text
    assert 'id="confusion"' not in page
    assert "By length" in text
    assert "By language" not in text
    assert "Length Rows Base Tuned long 20 0.100 0.310 short 20 0.145 0.710" in text
    assert "Tuned better than base by ROUGE-L: 39 rows, 5 shown" in text
    assert "Tuned worse than base by ROUGE-L: 1 row how do I reset it 0 Expected" in text


def test_many_labels_have_a_heatmap_without_names_and_the_mistakes_in_words(tmp_path: Path) -> None:
    labels = [f"label_{place:02}" for place in range(77)]
    page = render_page(classified(tmp_path, labels=labels, rows=400).material())
    assert 'class="heatmap dense"' in page
    assert "77 labels" in Parsed(page).text
    assert page.count('class="cell ') > 77
    assert re.search(r"label_\d\d label_\d\d 1 of 5", Parsed(page).text)
    assert "69 more" in Parsed(page).text


def test_what_the_pipeline_does_not_measure_is_left_out(tmp_path: Path) -> None:
    text = Parsed(render_page(classified(tmp_path).material())).text
    assert "Forgetting" not in text
    assert "Augmentation" not in text


class Retained(EvaluationResult):
    """An evaluation with what other versions of the pipeline measure."""

    retention: dict[str, Any] | None
    fit: dict[str, Any] | None


def test_what_augmentation_added_and_refused_is_shown(run: FinishedRun) -> None:
    assert run.parts.data is not None
    data = run.parts.data.model_copy(update={"augmentation": augmentation_that_says("x")})
    text = Parsed(render_page(run._replace(parts=run.parts.model_copy(update={"data": data})).material())).text
    assert "900 reworded training rows were added." in text
    assert "back translation 1,200 900 (75.0%) 0.912 rx 200, too short 100" in text
    assert "paraphrase Paraphrase is off: mx" in text
    assert "synonym No measured lift: dx" in text
    assert "Share of validation rows answered exactly, after 120 steps of training" in text
    assert "back translation 400 0.750 0.812 +0.062 [+0.010, +0.114] yes" in text
    assert "synonym 400 0.750 0.740 -0.010 [-0.050, +0.030] no" in text
    assert "Augmentation" not in Parsed(render_page(run.material())).text


def test_what_is_left_of_the_bases_abilities_is_shown(run: FinishedRun) -> None:
    assert run.parts.evaluated is not None
    categories = [{"name": "general_knowledge", "questions": 200, "base_right": 142, "tuned_right": 140, "gained": 3, "lost": 5}]
    text = {"source": "Python's own topics", "block_tokens": 512, "base": [2.0, 2.2], "tuned": [2.1, 2.3]}
    sides = {"train": {"rows": 128, "loss": 0.06, "familiar": 1}, "test": {"rows": 48, "loss": None, "familiar": 1}}
    more = {"retention": {"categories": categories, "unanswered": 0, "text": text}, "fit": sides}
    evaluated = Retained.model_construct(**{**run.parts.evaluated.__dict__, **more})
    shown = Parsed(render_page(run._replace(parts=run.parts.model_copy(update={"evaluated": evaluated})).material())).text
    assert "general knowledge 200 71.0% 70.0%" in shown
    assert "Perplexity on general text, base 8.166 1,024 tokens of Python's own topics" in shown
    assert "1.105 times the base's" in shown
    assert "Loss, train rows 0.060 128 rows" in shown
    assert "Loss, test rows" not in shown


def test_a_category_without_questions_and_blocks_without_a_loss_show_nothing(run: FinishedRun) -> None:
    assert run.parts.evaluated is not None
    empty = {"categories": [{"name": "none", "questions": 0}], "text": {"base": [None, 2.0], "tuned": [1.0, 2.0]}}
    evaluated = Retained.model_construct(**{**run.parts.evaluated.__dict__, "retention": empty, "fit": None})
    page = render_page(run._replace(parts=run.parts.model_copy(update={"evaluated": evaluated})).material())
    assert "Forgetting</h3>" not in page


def test_what_answers_give_away_and_how_often_the_rows_have_decided_is_said(run: FinishedRun) -> None:
    assert run.parts.evaluated is not None
    changes = {"safety": {"answers": 48, "any": 2, "email": 2, "secret": 0}, "decided_before": 3, "signatures": {"bleu": "nrefs:1"}}
    parts = run.parts.model_copy(update={"evaluated": run.parts.evaluated.model_copy(update=changes)})
    text = Parsed(render_page(run._replace(parts=parts).material())).text
    assert "2 of 48 answers hold personal data or secrets that the prompt does not: email 2" in text
    assert "3 other artifacts were evaluated here on half of these test rows" in text
    assert "BLEU is sacrebleu's nrefs:1" in text


def test_a_report_that_judges_a_finished_run_again_says_that_it_opens_nothing(run: FinishedRun) -> None:
    assert run.parts.judged is not None
    report = run.parts.judged.report.model_copy(update={"rejudges": "f00d" * 16})
    parts = run.parts.model_copy(update={"judged": run.parts.judged.model_copy(update={"report": report})})
    assert "gate report f00df00df00d again, without a model: it opens nothing" in render_page(run._replace(parts=parts).material())


def test_a_gate_on_slices_shows_each_of_them_worst_outcome_first(tmp_path: Path) -> None:
    parts = tuple(
        SliceResult(slice=name, value=value, threshold=0.7, interval=(value - 0.1, value + 0.1), level=0.01, rows=40, outcome=outcome)
        for name, value, outcome in (("billing", 0.8, "pass"), ("network", 0.6, "fail"))
    )
    gate = make_gate("by_label", "slices", "fail", slices=parts, level=0.01)
    page = render_page(classified(tmp_path, gates=(gate,)).material())
    text = Parsed(page).text
    assert "2 slices Slice Rows Value Has to be Outcome network 40 0.600 [0.500, 0.700] ≥ 0.700 Failed billing 40" in text
    assert "Bars are 98 % intervals." in text


@pytest.mark.parametrize("made", [classified, replied])
def test_every_plot_has_a_name_or_is_hidden(tmp_path: Path, made: Any) -> None:
    page = render_page(made(tmp_path).material())
    # Drawings within a drawing belong to its name.
    graphics = re.findall(r"<svg[^>]*>", re.sub(r'(<svg[^>]*role="img"[^>]*>).*?</svg>\n</li>', r"\1</li>", page))
    named = [graphic for graphic in graphics if "role" in graphic]
    assert len(named) >= 3
    assert all('aria-label="' in graphic for graphic in named)


def test_the_same_run_gives_the_same_page(run: FinishedRun) -> None:
    assert render_page(run.material()) == render_page(run.material())


def test_digests_of_everything_stand_on_the_page(run: FinishedRun) -> None:
    text = Parsed(render_page(run.material())).text
    for name in ("Data", "Base model", "Artifact", "Configuration", "Gate report", "Code", "Run"):
        assert re.search(rf"Lineage .*{name} [0-9a-f-]{{20,}}", text), name
    assert "tiny-base, float32" in text
    assert "/srv/models" not in text


def test_the_short_report_has_gates_and_figures_and_no_row(run: FinishedRun) -> None:
    short = report_markdown(run.material(), Path("/runs/report.html"))
    assert short.count("\n| ") >= 4 + len(GATES)
    assert "the vpn drops" not in short
    assert "| fail | 1.410 |" in short
