"""Presidio, an optional package: it finds kinds of personal data that our own screening (`tasks.screening`) does not know.

It runs in this process, text by text, and reaches no network: the pipeline under it is spaCy's blank one, which tells words apart and no
more, or a model that the user has installed; nothing is downloaded, and the list of internet domains is the one in the package.
"""

import functools
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import polars as pl

from pipeline_config.data import PresidioConfig
from pipeline_config.errors import ConfigError

FOUND = pl.Schema({"row": pl.Int64(), "entity": pl.String(), "start": pl.Int64(), "end": pl.Int64()})
"""`row` is an index into the series; `start` and `end` count characters, and `end` is the first one after the finding."""

_PIECE, _OVERLAP = 2_000, 500
"""Characters that are looked at together: Presidio's expression for URLs takes time with the square of a text's length, and Presidio leaves
out what takes a minute. What is shorter than the overlap is whole in one of the pieces."""


class _Span(NamedTuple):
    score: float
    entity: str
    start: int
    end: int


def presidio_versions(presidio: PresidioConfig) -> dict[str, str]:
    """What the findings depend on besides the configuration. Nothing is imported for it.

    Raises:
        ConfigError: Presidio or the spaCy model is not installed.
    """
    names = ("presidio-analyzer", "spacy", "phonenumbers", *filter(None, [presidio.spacy_model]))
    return {name: _version(name, is_model=name == presidio.spacy_model) for name in names}


def find_entities(texts: pl.Series, presidio: PresidioConfig) -> pl.DataFrame:
    """Finds the configured entities. Where findings overlap, the one with the higher score stays, or the longer one.

    Args:
        texts: a column of text; null has nothing.

    Returns:
        Columns of :data:`FOUND`, sorted by row and start; findings of one row do not overlap.

    Raises:
        ConfigError: see :func:`open_presidio`.
    """
    analyzer = open_presidio(presidio)
    found = [(row, *span[1:]) for row, text in enumerate(texts) if text for span in _find(text, analyzer, presidio)]
    return pl.DataFrame(found, schema=FOUND, orient="row")


@functools.lru_cache(maxsize=1)
def open_presidio(presidio: PresidioConfig) -> Any:
    """Makes Presidio's analyzer ready, once for a configuration; it takes seconds.

    Raises:
        ConfigError: Presidio or the spaCy model is not installed, or they do not know the language or an entity.
    """
    presidio_versions(presidio)
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    language, pipeline = presidio.language, _pipeline(presidio)
    # With a pipeline of its own the engine is loaded: it neither looks for a model nor downloads one.
    engine = SpacyNlpEngine([{"lang_code": language, "model_name": presidio.spacy_model or "blank"}], _labels(pipeline))
    engine.nlp = {language: pipeline}
    registry = RecognizerRegistry(supported_languages=[language])
    with _without_warnings():
        registry.load_predefined_recognizers(languages=[language])
    if presidio.spacy_model is None:
        registry.remove_recognizer("SpacyRecognizer")  # it would find no name in anything, and say so to nobody
    _keep_offline(registry.recognizers)
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language])
    _require_known(presidio, analyzer.get_supported_entities(language))
    return analyzer


def _version(name: str, *, is_model: bool) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        if is_model:
            raise ConfigError(
                f"the spaCy model {name} is not installed", where="data.sensitive.presidio.spacy_model",
                expected="the name of an installed model, or null for none",
                hint="install it from spaCy's own releases: packages on PyPI that are called like its models are not by spaCy",
            ) from error  # fmt: skip
        raise ConfigError(
            f"data.sensitive.presidio is set, but {name} is not installed", where="data.sensitive.presidio",
            expected="the optional package", hint="pip install 'tunegate[presidio]', or set data.sensitive.presidio=null",
        ) from error  # fmt: skip


def _pipeline(presidio: PresidioConfig) -> Any:
    import spacy

    if presidio.spacy_model is not None:
        pipeline = _load_model(presidio.spacy_model)
        if pipeline.lang != presidio.language:
            raise ConfigError(
                f"{presidio.spacy_model} is for the language {pipeline.lang}", where="data.sensitive.presidio.spacy_model",
                expected=f"a model for {presidio.language}", hint="data.sensitive.presidio.language names the language",
            )  # fmt: skip
        return pipeline
    try:
        pipeline = spacy.blank(presidio.language)
    except ImportError as error:
        raise ConfigError(
            f"spaCy cannot tell words apart in {presidio.language!r}", where="data.sensitive.presidio.language",
            expected="a language of spaCy that needs no package of its own", hint="`xx` stands for any language",
        ) from error  # fmt: skip
    spacy.Language.component("words_as_lemmas", func=_words_as_lemmas)
    pipeline.add_pipe("words_as_lemmas")
    return pipeline


def _load_model(name: str) -> Any:
    import spacy

    try:
        return spacy.load(name)
    except (ImportError, OSError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{name} cannot be loaded as a spaCy model: {error}", where="data.sensitive.presidio.spacy_model",
            expected="a model that fits the installed spaCy", hint="`python -m spacy validate` lists the installed models",
        ) from error  # fmt: skip


def _words_as_lemmas(doc: Any) -> Any:
    """Presidio looks among the lemmas for words that support a finding, such as "passport"; a blank pipeline has none."""
    for token in doc:
        token.lemma_ = token.lower_
    return doc


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Presidio warns of every recognizer that is for another language."""
    logger = logging.getLogger("presidio-analyzer")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _labels(pipeline: Any) -> Any:
    """Lets a model's labels that Presidio has no name for, such as CARDINAL, pass without a warning for each of them."""
    from presidio_analyzer.nlp_engine import NerModelConfiguration

    known = NerModelConfiguration().model_to_presidio_entity_mapping
    return NerModelConfiguration(labels_to_ignore=[name for names in pipeline.pipe_labels.values() for name in names if name not in known])


def _keep_offline(recognizers: Iterable[Any]) -> None:
    """The e-mail recognizer would fetch a list of domains at its first finding, and keep it below the home directory."""
    from presidio_analyzer.predefined_recognizers import EmailRecognizer
    from tldextract import TLDExtract

    domains = TLDExtract(cache_dir=None, suffix_list_urls=())
    for recognizer in recognizers:
        if isinstance(recognizer, EmailRecognizer):
            recognizer.validate_result = lambda address: domains(address).fqdn != ""


def _require_known(presidio: PresidioConfig, known: Iterable[str]) -> None:
    if unknown := sorted(set(presidio.entities) - set(known)):
        raise ConfigError(
            f"Presidio does not find {', '.join(unknown)} in {presidio.language!r}", where="data.sensitive.presidio.entities",
            expected=f"some of {', '.join(sorted(known))}",
            hint="names of persons and places need a model: data.sensitive.presidio.spacy_model" if presidio.spacy_model is None else "",
        )  # fmt: skip


def _find(text: str, analyzer: Any, presidio: PresidioConfig) -> list[_Span]:
    spans = set()
    for first in range(0, max(1, len(text) - _OVERLAP), _PIECE - _OVERLAP):
        piece = text[first : first + _PIECE]
        found = analyzer.analyze(
            piece, language=presidio.language, entities=list(presidio.entities), score_threshold=presidio.score_threshold
        )
        spans |= {
            _Span(one.score, one.entity_type, first + one.start, first + one.end)
            for one in found
            if one.end - one.start >= _OVERLAP or not _is_cut(first + one.start, first + one.end, first, len(piece), len(text))
        }
    return _apart(spans, len(text))


def _is_cut(start: int, end: int, first: int, size: int, length: int) -> bool:
    """Whether a finding touches a border inside the text: it may be half of something, and another piece has the whole."""
    return (start == first > 0) or (end == first + size < length)


def _apart(spans: Iterable[_Span], length: int) -> list[_Span]:
    chosen, taken = [], bytearray(length)
    for span in sorted(spans, key=lambda span: (-span.score, span.start - span.end, span.start, span.entity)):
        if not any(taken[span.start : span.end]):
            taken[span.start : span.end] = b"\x01" * (span.end - span.start)
            chosen.append(span)
    return sorted(chosen, key=lambda span: span.start)
