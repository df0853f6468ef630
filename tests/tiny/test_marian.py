"""Translation by MarianMT models: random ones of one layer, real tokenizers and files."""

from pathlib import Path

import pytest
import torch

from tasks.augment.back_translation import BackTranslation, Translation
from tasks.augment.marian import MarianTranslator, open_marian
from tasks.augment.operators import Missing, Request
from tests.builders import tiny_tokenizer

TEXTS = ["the vpn drops", "paper jam", "password reset for the new laptop please", "hardware", "billing access", "software email"]


def tiny_marian(folder: Path, seed: int) -> str:
    """Saves a random model (one layer each way, hidden size 32) with a byte-level tokenizer."""
    from transformers import MarianConfig, MarianMTModel

    tokenizer = tiny_tokenizer()
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    config = MarianConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=64, decoder_ffn_dim=64,
        encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=300, pad_token_id=pad, eos_token_id=end,
        forced_eos_token_id=end, decoder_start_token_id=pad, init_std=0.5,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MarianMTModel(config)
    # A random model says the same for ever, if it is let.
    model.generation_config.update(num_beams=2, no_repeat_ngram_size=2, exponential_decay_length_penalty=(4, 1.5))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("marian")
    return tiny_marian(folder / "there", seed=1), tiny_marian(folder / "back", seed=2)


@pytest.fixture(scope="module")
def ways(names: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[MarianTranslator, MarianTranslator]:
    opened = open_marian(names, tmp_path_factory.mktemp("workspace"))
    assert not isinstance(opened, Missing)
    return opened


def test_a_translation_does_not_depend_on_its_neighbours(ways: tuple[MarianTranslator, MarianTranslator]) -> None:
    there, _ = ways
    together = there.translate(TEXTS)
    assert [there.translate([text])[0] for text in reversed(TEXTS)] == together[::-1]
    assert len({made.text for made in together if made.text}) > 1, "this model translates everything alike and proves nothing"


def test_translations_equal_those_of_generate_and_decode(ways: tuple[MarianTranslator, MarianTranslator], names: tuple[str, str]) -> None:
    from transformers import AutoTokenizer, MarianMTModel

    model, tokenizer = MarianMTModel.from_pretrained(names[0]), AutoTokenizer.from_pretrained(names[0])
    for text, made in zip(TEXTS, ways[0].translate(TEXTS), strict=True):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        wanted = tokenizer.decode(model.generate(ids, max_new_tokens=16 + 2 * ids.shape[1])[0], skip_special_tokens=True).strip()
        assert made.text in (wanted, None)
        assert (made.text is None) == (made.reason is not None)


def test_an_end_that_is_only_the_limit_s_is_none(tmp_path: Path) -> None:
    from transformers import GenerationConfig

    name = tiny_marian(tmp_path / "endless", seed=3)
    settings = GenerationConfig.from_pretrained(name)
    settings.exponential_decay_length_penalty = None
    settings.no_repeat_ngram_size = None
    settings.save_pretrained(name)
    opened = open_marian((name, name), tmp_path)
    assert not isinstance(opened, Missing)
    assert opened[0].translate(["paper jam"]) == [Translation(None, "cut off")]


def test_texts_go_there_and_back_line_by_line(ways: tuple[MarianTranslator, MarianTranslator]) -> None:
    operator = BackTranslation(*ways, "en")
    requests = [Request(str(number), text, number) for number, text in enumerate([*TEXTS, "paper jam\n\npaper jam", "x " * 400])]
    made = {candidate.key: candidate for candidate in operator.reword(requests)}
    assert len(made) == len(requests)
    assert made[str(len(TEXTS) + 1)].reason == "too long"
    once, twice = made["1"], made[str(len(TEXTS))]
    if once.text is not None:
        assert twice.text == f"{once.text}\n\n{once.text}"
    assert any(candidate.text for candidate in made.values())
    assert list(operator.reword(requests)) == list(operator.reword(requests))


def test_what_a_model_lacks_is_named(names: tuple[str, str], tmp_path: Path) -> None:
    gone = open_marian((names[0], str(tmp_path / "nowhere")), tmp_path)
    assert isinstance(gone, Missing)
    assert "nowhere" in gone.needs
    pickled = Path(tiny_marian(tmp_path / "pickled", seed=4))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    lacking = open_marian((names[0], str(pickled)), tmp_path)
    assert isinstance(lacking, Missing)
    assert "safetensors" in lacking.needs
    pieces = Path(tiny_marian(tmp_path / "pieces", seed=5))
    (pieces / "tokenizer.json").rename(pieces / "source.spm")
    try:
        import sentencepiece  # noqa: F401
    except ImportError:
        assert open_marian((str(pieces), names[1]), tmp_path) == Missing(
            "back_translation", f"the package sentencepiece is not installed ({pieces})", "pip install sentencepiece"
        )


def test_another_kind_of_model_is_refused(names: tuple[str, str], tmp_path: Path) -> None:
    from tests.builders import tiny_base

    other = tiny_base(tmp_path / "llama").name_or_path
    refused = open_marian((names[0], other), tmp_path)
    assert isinstance(refused, Missing)
    assert "no MarianMT model" in refused.needs


def test_other_weights_are_another_version(ways: tuple[MarianTranslator, MarianTranslator]) -> None:
    assert ways[0].version != ways[1].version
