"""What the optional package Presidio finds, and that it stays on this machine."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline_config.data import DataConfig, PresidioConfig, SensitiveConfig, SourceConfig
from pipeline_config.errors import ConfigError
from pipeline_config.loading import load_config
from tasks.artifacts import RunContext
from tasks.data.task import prepare
from tasks.presidio import FOUND, find_entities, open_presidio, presidio_versions

IS_INSTALLED = find_spec("presidio_analyzer") is not None
needs_presidio = pytest.mark.skipif(
    not IS_INSTALLED, reason="the optional package presidio-analyzer is not installed: pip install 'tunegate[presidio]'"
)

MAC, SSN, NHS = "00:1A:2B:3C:4D:5E", "078-05-1121", "401-023-2137"


def asked(*entities: str, **settings: Any) -> PresidioConfig:
    return PresidioConfig(entities=entities, **settings)


def found(text: str, presidio: PresidioConfig) -> list[tuple[str, str]]:
    rows = find_entities(pl.Series([text]), presidio).rows()
    return [(entity, text[start:end]) for _, entity, start, end in rows]


@pytest.mark.skipif(IS_INSTALLED, reason="the optional package presidio-analyzer is installed")
def test_a_run_without_the_package_ends_before_a_source_is_looked_for(tmp_path: Path) -> None:
    missing = DataConfig(source=SourceConfig(path=tmp_path / "nowhere.jsonl"), sensitive=SensitiveConfig(presidio=asked("US_SSN")))
    config = load_config("smoke").model_copy(update={"data": missing})
    context = RunContext(run_id="r", workspace=tmp_path, mlflow_run_id="", mlflow_run_url="", prefect_run_url=None)
    with pytest.raises(ConfigError, match="presidio-analyzer is not installed") as caught:
        prepare.fn(config, context)
    assert "pip install 'tunegate[presidio]'" in caught.value.hint


@needs_presidio
def test_finds_the_entities_that_were_asked_for_and_no_others() -> None:
    texts = pl.Series([f"ssn {SSN}, mail bob@example.com", None, "", f"it is {MAC}"])
    rows = find_entities(texts, asked("US_SSN", "MAC_ADDRESS"))
    assert rows.rows() == [(0, "US_SSN", 4, 15), (3, "MAC_ADDRESS", 6, 23)]
    assert rows.schema == FOUND
    assert find_entities(pl.Series([], dtype=pl.String), asked("US_SSN")).schema == FOUND


@needs_presidio
def test_a_check_digit_that_fails_is_no_finding() -> None:
    assert found(f"patient {NHS}", asked("UK_NHS")) == [("UK_NHS", NHS)]
    assert found(f"patient {NHS[:-1]}8", asked("UK_NHS")) == []


@needs_presidio
def test_words_around_a_number_speak_for_it_without_a_model() -> None:
    assert found("phone 212-555-5555", asked("PHONE_NUMBER")) == [("PHONE_NUMBER", "212-555-5555")]
    assert found("it is 212-555-5555", asked("PHONE_NUMBER")) == []
    assert found("it is 212-555-5555", asked("PHONE_NUMBER", score_threshold=0.4)) == [("PHONE_NUMBER", "212-555-5555")]


@needs_presidio
@pytest.mark.parametrize("lead", [0, 1480, 1490, 1499, 1500, 1989, 1995, 2000, 5000])
def test_a_finding_is_found_whole_wherever_it_stands_in_a_long_text(lead: int) -> None:
    text = "." * lead + f" {MAC} " + "." * 3000
    assert found(text, asked("MAC_ADDRESS")) == [("MAC_ADDRESS", MAC)]


@needs_presidio
def test_findings_of_one_text_do_not_overlap() -> None:
    text = "see https://example.com/bob@example.com or bob@example.com, 212-555-5555"
    rows = find_entities(pl.Series([text]), asked("URL", "EMAIL_ADDRESS", "PHONE_NUMBER", "US_SSN", score_threshold=0.1))
    assert rows.height >= 3
    assert (rows["start"][1:] >= rows["end"][:-1]).all()


@needs_presidio
def test_an_unknown_entity_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match="does not find US_SNN in 'en'") as caught:
        open_presidio(asked("US_SNN"))
    assert "US_SSN" in caught.value.expected


@needs_presidio
def test_names_are_refused_without_a_model_instead_of_never_found() -> None:
    with pytest.raises(ConfigError, match="does not find PERSON") as caught:
        open_presidio(asked("PERSON"))
    assert "data.sensitive.presidio.spacy_model" in caught.value.hint


@needs_presidio
def test_another_language_has_its_own_entities() -> None:
    assert found(f"die Adresse {MAC}", asked("MAC_ADDRESS", language="de")) == [("MAC_ADDRESS", MAC)]
    with pytest.raises(ConfigError, match="does not find US_SSN in 'de'"):
        open_presidio(asked("US_SSN", language="de"))
    with pytest.raises(ConfigError, match="cannot tell words apart"):
        open_presidio(asked("MAC_ADDRESS", language="qq"))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed model that knows one person by name."""
    package = tmp_path / "site" / "en_one_person"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import spacy\n\ndef load(**_):\n    nlp = spacy.blank('en')\n    ruler = nlp.add_pipe('entity_ruler')\n"
        "    ruler.add_patterns([{'label': 'PERSON', 'pattern': 'Ada Byron'}, {'label': 'CARDINAL', 'pattern': 'seven'}])\n    return nlp\n"
    )
    about = tmp_path / "site" / "en_one_person-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: en_one_person\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return "en_one_person"


@needs_presidio
def test_a_model_of_the_users_own_finds_names(model: str, caplog: pytest.LogCaptureFixture) -> None:
    presidio = asked("PERSON", "MAC_ADDRESS", spacy_model=model)
    assert found(f"Ada Byron has seven of {MAC}", presidio) == [("PERSON", "Ada Byron"), ("MAC_ADDRESS", MAC)]
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []
    assert presidio_versions(presidio)["en_one_person"] == "1.2"
    with pytest.raises(ConfigError, match="is for the language en"):
        open_presidio(asked("PERSON", spacy_model=model, language="de"))


@needs_presidio
def test_a_model_that_is_not_installed_is_not_downloaded() -> None:
    with pytest.raises(ConfigError, match="en_core_web_none is not installed"):
        open_presidio(asked("PERSON", spacy_model="en_core_web_none"))
    with pytest.raises(ConfigError, match="polars cannot be loaded as a spaCy model"):
        open_presidio(asked("PERSON", spacy_model="polars"))


OFFLINE = f"""
import sys

asked = []

def refuse(event, args):
    if event.startswith("socket.") and event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        asked.append(event)
        raise OSError("there is no network")

sys.addaudithook(refuse)
import polars as pl
from pipeline_config.data import PresidioConfig
from tasks.presidio import find_entities, open_presidio

every = tuple(open_presidio(PresidioConfig(entities=("US_SSN",))).get_supported_entities("en"))
texts = pl.Series(["mail bob@example.co.uk", "see https://example.com, {MAC}, {SSN}, phone 212-555-5555", "bob@example.nosuchdomain"])
found = find_entities(texts, PresidioConfig(entities=every))
print(sorted(set(found["entity"])), found.filter(entity="EMAIL_ADDRESS")["row"].to_list(), asked)
"""


@needs_presidio
def test_nothing_reaches_the_network_and_nothing_is_left_in_the_home_directory(tmp_path: Path) -> None:
    hidden = ("XDG_CACHE_HOME", "TLDEXTRACT_CACHE", "TLDEXTRACT_PUBLIC_SUFFIX_LIST_URLS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['EMAIL_ADDRESS', 'MAC_ADDRESS', 'PHONE_NUMBER', 'URL', 'US_SSN'] [0] []"
    assert list(tmp_path.rglob("*")) == []
