"""Which operators a configuration asks for, opened: those that can be had here, and what is missing for the others.

Opening looks whether everything is there; models and dictionaries are loaded when the first text comes.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

from pipeline_config.augmentation import AugmentationConfig, BackTranslationConfig, EndpointConfig, ParaphraseConfig, SynonymConfig
from pipeline_config.environment import read_secret
from pipeline_config.errors import ConfigError
from pipeline_config.model import ModelConfig
from tasks.augment import back_translation, paraphrase
from tasks.augment.apertium import open_apertium
from tasks.augment.back_translation import BackTranslation, EndpointTranslator, Translator
from tasks.augment.marian import open_marian
from tasks.augment.operators import Missing, Operator
from tasks.augment.paraphrase import BaseParaphrase, EndpointParaphrase
from tasks.endpoints import Client, connection_to
from tasks.engine import open_engine
from tasks.models import identify_base


def open_operators(config: AugmentationConfig, model: ModelConfig, workspace: Path) -> tuple[list[Operator], list[Missing]]:
    """The operators that are on and can be had, in the order of `pipeline_config.augmentation.OperatorName`, and what is missing.

    Args:
        model: the base that paraphrases where no endpoint is named.
        workspace: where the base lies as safetensors.

    Raises:
        ConfigError: an operator with `required` cannot be had; names what is missing and the command that brings it.
        ModelError: the base cannot be used, and then nothing else can go on either.
    """
    opened: list[tuple[bool, Operator | Missing]] = []
    if config.synonym is not None:
        opened.append((config.synonym.required, _open_synonym(config.synonym)))
    if config.back_translation is not None:
        opened.append((config.back_translation.required, _open_back_translation(config.back_translation, workspace)))
    if config.paraphrase is not None:
        opened.append((config.paraphrase.required, _open_paraphrase(config.paraphrase, model, workspace)))
    _refuse([one for required, one in opened if required and isinstance(one, Missing)])
    return (
        [one for _, one in opened if not isinstance(one, Missing)],
        [one for _, one in opened if isinstance(one, Missing)],
    )


def _refuse(missing: Sequence[Missing]) -> None:
    if missing:
        raise ConfigError(
            "; ".join(f"augmentation.{one.name} is required and needs {one.needs}" for one in missing), where="augmentation",
            expected="what it needs on this machine, or `required: false`", hint="; ".join(one.command for one in missing),
        )  # fmt: skip


def _open_synonym(config: SynonymConfig) -> Operator | Missing:
    from tasks.augment.synonym import open_synonym

    return open_synonym(config)


def _open_back_translation(config: BackTranslationConfig, workspace: Path) -> Operator | Missing:
    ways = _translators(config, workspace)
    return ways if isinstance(ways, Missing) else BackTranslation(*ways, config.source)


def _translators(config: BackTranslationConfig, workspace: Path) -> tuple[Translator, Translator] | Missing:
    if config.backend == "marian" and config.marian is not None:
        return open_marian(config.marian, workspace)
    if config.backend == "endpoint" and config.endpoint is not None:
        if missing := _missing_key(back_translation.NAME, config.endpoint):
            return missing
        client, model = Client(connection_to(config.endpoint)), (config.endpoint.url, config.endpoint.model)
        there, back = (config.source, config.pivot), (config.pivot, config.source)
        return EndpointTranslator(client, model, *there), EndpointTranslator(client, model, *back)
    return open_apertium(config.source, config.pivot)


def _open_paraphrase(config: ParaphraseConfig, model: ModelConfig, workspace: Path) -> Operator | Missing:
    if config.endpoint is None:
        # In 16 bits the rounding of a batch changed 11 candidates of 16; in fp32 none, for a third more time and twice the memory.
        exact = model.model_copy(update={"dtype": "float32"})
        return BaseParaphrase(config, identify_base(exact, workspace).key, functools.partial(open_engine, exact, workspace))
    return _missing_key(paraphrase.NAME, config.endpoint) or EndpointParaphrase(config, config.endpoint)


def _missing_key(name: str, endpoint: EndpointConfig) -> Missing | None:
    variable = endpoint.api_key_variable
    if variable is None or read_secret(variable):
        return None
    return Missing(name, f"the environment variable {variable} with the key of {endpoint.url}", f"export {variable}=...")
