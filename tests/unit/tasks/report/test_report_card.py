"""The model card: metadata that the Hugging Face library reads back, and a text without rows and without paths of this machine."""

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from tasks.artifacts import GateResult
from tasks.report.card import interval_of, model_card
from tests.finished_runs import DIGEST, FinishedRun, classified, make_gate, replied
from tests.reports import HOSTILE


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return classified(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def card(run: FinishedRun) -> ModelCard:
    return ModelCard(model_card(run.material()))


def test_the_metadata_is_read_back_by_the_library(card: ModelCard) -> None:
    data = card.data
    assert (data.base_model, data.license, data.language, data.library_name) == ("tiny-base", "mit", ["en"], "peft")
    assert (data.model_name, data.pipeline_tag, data.tags) == ("desk", "text-generation", ["tunegate", "lora", "text-classification"])
    assert data.metrics == ["accuracy", "f1", "perplexity"]
    assert data.to_dict()["base_model_relation"] == "adapter"


def test_the_model_index_has_every_figure_with_what_is_known_of_its_certainty(card: ModelCard, run: FinishedRun) -> None:
    results = {result.metric_type: result for result in card.data.eval_results or []}
    accuracy = results["accuracy"]
    assert accuracy.metric_value == pytest.approx(40 / 48)
    assert accuracy.metric_args == {"rows": 48, "interval_95": [0.814, 0.884]}
    assert (accuracy.dataset_split, accuracy.dataset_revision) == ("test", run.material().data.digest)
    assert results["perplexity"].metric_args == {"rows": 48}


def test_accuracy_has_an_interval_without_a_gate_on_it(tmp_path: Path) -> None:
    made = classified(tmp_path, gates=(make_gate("fit", "overfitting"),))
    interval = interval_of(made.material(), "accuracy")
    assert interval is not None
    assert interval[0] < 40 / 48 < interval[1]
    assert interval_of(made.material(), "perplexity") is None


def test_free_answers_are_generation_and_no_classification(tmp_path: Path) -> None:
    data = ModelCard(model_card(replied(tmp_path).material())).data
    assert [result.task_type for result in data.eval_results or []] == ["text-generation"] * 2
    assert data.metrics == ["perplexity", "rouge"]
    assert "text-classification" not in (data.tags or [])


def test_no_row_and_no_path_of_this_machine_is_in_the_card(run: FinishedRun, card: ModelCard) -> None:
    assert "the vpn drops" not in card.content
    assert "/srv/" not in card.content
    assert str(run.context.workspace) not in card.content
    assert "Source: tickets.jsonl." in card.content


def test_the_card_says_what_stands_against_the_model(card: ModelCard) -> None:
    limits = card.text.split("## Limits")[1].split("## Training data")[0]
    assert "Gate no overfitting (fail): overfitting is severe" in limits
    assert "Gate not worse than champion (hold)" in limits
    assert "Gate min accuracy" not in limits
    assert "Weakest by label, Accuracy:" in limits
    assert "(TF-IDF) has accuracy 0.500 on the same rows, this model 0.833" in limits
    assert "no person approved this version" in limits


def test_licences_use_and_origin_are_given(card: ModelCard) -> None:
    assert "Licence: cc-by-4.0." in card.text
    assert "Licence of the base: mit." in card.text
    assert "Made for one task: “Route this ticket to a queue.”" in card.text
    assert "billing, email, hardware, network" in card.text
    assert card.text.count(DIGEST) >= 3
    assert "torch " in card.text.split("Software:")[1]


def test_the_licence_of_the_embedded_base_is_known_and_of_others_it_is_not(tmp_path: Path) -> None:
    embedded = ModelCard(model_card(classified(tmp_path / "e", config={"model": {}}).material()))
    assert (embedded.data.license, embedded.data.base_model) == ("apache-2.0", "HuggingFaceTB/SmolLM2-135M-Instruct")
    assert "third party" in embedded.text
    other = ModelCard(model_card(classified(tmp_path / "o", config={"model": {"name_or_path": "some/base", "revision": "abc"}}).material()))
    assert (other.data.license, other.data.base_model) == ("unknown", "some/base")


@pytest.mark.parametrize(("method", "library"), [("full", "transformers"), ("adapter", "tunegate"), ("ia3", "peft")])
def test_the_card_says_which_library_loads_the_version(run: FinishedRun, method: str, library: str) -> None:
    assert run.parts.trained is not None
    parts = run.parts.model_copy(update={"trained": run.parts.trained.model_copy(update={"method": method})})
    assert ModelCard(model_card(run._replace(parts=parts).material())).data.library_name == library


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_somebody_else_becomes_markup(tmp_path: Path, text: str) -> None:
    def tokens(said: str) -> list[Any]:
        gates: tuple[GateResult, ...] = (make_gate("g", "threshold", "hold", reason=f"r {said}"),)
        made = classified(Path(mkdtemp(dir=tmp_path)), labels=(f"a {said}", "b"), gates=gates)
        assert made.parts.data is not None
        data = made.parts.data.model_copy(update={"instruction": f"i {said}", "warnings": (f"w {said}",)})
        content = ModelCard(model_card(made._replace(parts=made.parts.model_copy(update={"data": data})).material()))
        assert content.data.license == "mit"
        parsed = MarkdownIt("commonmark").enable("table").parse(content.text)
        return [child.type for token in parsed for child in [token, *(token.children or ())]]

    assert set(tokens(text)) <= set(tokens("plain"))
    assert tokens(text).count("list_item_open") == tokens("plain").count("list_item_open")
