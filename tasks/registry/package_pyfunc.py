"""A version as `mlflow.pyfunc` runs it. This file is copied into each version and stands alone: it must not import tunegate at its top.

    model = mlflow.pyfunc.load_model("models:/helpdesk-routing/3")
    model.predict([{"messages": [{"role": "user", "content": "The VPN drops every hour."}]}])

It needs what the version's requirements.txt lists. Weights that PEFT does not know (bottleneck adapters), and versions whose training rows
had personal data masked, need tunegate besides, and say so. Answers are greedy. Nothing is loaded that does not match the digests which the
version was registered with: its own files by `model/manifest.json`, the base model by `evidence/evidence.json`.

The base is taken from the folder that `model_config={"base": FOLDER}` names, from the cache (`model_config={"cache": FOLDER}`, by default
`~/.cache/tunegate/bases`), or from MLflow's artifact store, where it lies once for all versions.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd  # type: ignore[import-untyped]
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

HERE = Path(__file__).parent
EXPERIMENT = "tunegate-bases"
Answer = Callable[[list[dict[str, Any]], int], str]
"""Answers a chat with so many tokens at most."""


class Version(PythonModel):
    """One version: chats in, texts out."""

    def load_context(self, context: Any) -> None:
        """Loads the model; raises ValueError for files that are not the registered ones, ImportError where tunegate is missing."""
        settings = context.model_config or {}
        self._manifest = json.loads((HERE / "model" / "manifest.json").read_text(encoding="utf-8"))
        _require(self._manifest["files"], HERE / "model", besides="manifest.json")
        self._mask = _mask_of(self._manifest["masked_kinds"]) if self._manifest.get("masked_kinds") else None
        self._answer = _load(self._manifest, HERE / "model", settings)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One answer for each row.

        Args:
            model_input: column `messages`, each a list of turns with `role`, `content` and, where tools are called, `tool_calls` as JSON.
            params: `max_new_tokens`.
        """
        limit = int((params or {}).get("max_new_tokens") or self._manifest["max_new_tokens"])
        return pd.DataFrame({"answer": [self._answer(self._chat(turns), limit) for turns in model_input["messages"]]})

    def _chat(self, turns: Any) -> list[dict[str, Any]]:
        chat = [{key: value for key, value in dict(turn).items() if value is not None} for turn in turns]
        if self._mask is not None:
            chat = self._mask(chat)
        if self._manifest["instruction"] and chat[0]["role"] != "system":
            chat.insert(0, {"role": "system", "content": self._manifest["instruction"]})
        return chat


def _load(manifest: dict[str, Any], artifact: Path, settings: dict[str, Any]) -> Answer:
    adapter = artifact / "adapter_config.json"
    if not adapter.is_file():
        return _answering(_whole_model(artifact, manifest["base"]["dtype"]), _tokenizer(artifact))
    base = _base_folder(settings)
    kind = json.loads(adapter.read_text(encoding="utf-8"))["peft_type"]
    if kind.startswith("TUNEGATE"):
        return _with_tunegate(artifact, base)
    from peft import PeftModel

    model = PeftModel.from_pretrained(_whole_model(base, manifest["base"]["dtype"], manifest["base"].get("quantization")), str(artifact))
    return _answering(model.eval(), _tokenizer(artifact))


def _whole_model(folder: Path, dtype: str, quantization: str | None = None) -> Any:
    """A model from safetensors; `nf4` quantises its projections as training did."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    precision = getattr(torch, dtype)
    four_bits = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=precision
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=precision, use_safetensors=True, local_files_only=True, trust_remote_code=False,
        quantization_config=four_bits if quantization else None,
    )  # fmt: skip
    for module in model.modules():
        # On some processors bitsandbytes would repack the weights with other scales, and answers would differ from those judged.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model.to("cuda").eval() if torch.cuda.is_available() and not quantization else model.eval()


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _answering(model: Any, tokenizer: Any) -> Answer:
    import torch
    from transformers import GenerationConfig

    # A base may bring settings of its own, such as a penalty on repetition: answers were judged without.
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    inner.generation_config = model.generation_config = GenerationConfig()
    end = tokenizer.eos_token_id

    def answer(chat: list[dict[str, Any]], limit: int) -> str:
        turns = [{**turn, "tool_calls": _calls(turn["tool_calls"])} if "tool_calls" in turn else turn for turn in chat]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        asked = tokenizer(text, add_special_tokens=False, return_tensors="pt").to(inner.device)
        greedy = GenerationConfig(do_sample=False, max_new_tokens=limit, eos_token_id=end, pad_token_id=end)
        with torch.inference_mode():
            given = model.generate(input_ids=asked["input_ids"], attention_mask=asked["attention_mask"], generation_config=greedy)
        return str(tokenizer.decode(given[0, asked["input_ids"].shape[1] :], skip_special_tokens=True))

    return answer


def _calls(text: str) -> list[dict[str, Any]]:
    """Tool calls as templates take them, with arguments as an object."""
    found = json.loads(text)
    functions = [call.get("function", call) for call in (found if isinstance(found, list) else [found])]
    given = [function.get("arguments") or {} for function in functions]
    arguments = [json.loads(each) if isinstance(each, str) else each for each in given]
    return [
        {"type": "function", "function": {"name": function["name"], "arguments": own}}
        for function, own in zip(functions, arguments, strict=True)
    ]


def _with_tunegate(artifact: Path, base: Path) -> Answer:
    try:
        from tasks.registry.opening import open_version
    except ImportError as error:
        raise ImportError(f"PEFT does not know these weights: they need tunegate, which is not installed here ({error})") from error
    engine = open_version(artifact, base)

    def answer(chat: list[dict[str, Any]], limit: int) -> str:
        return engine.answer([chat], adapter="version", max_new_tokens=limit)[0].text  # type: ignore[list-item]

    return answer


def _mask_of(kinds: list[str]) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    try:
        from tasks.masking import mask_messages
    except ImportError as error:
        raise ImportError(
            f"{', '.join(kinds)} stood masked in training and have to be masked in what is asked: that needs tunegate ({error})"
        ) from error
    return lambda chat: [dict(turn) for turn in mask_messages(chat, kinds).messages]  # type: ignore[arg-type]


def _base_folder(settings: dict[str, Any]) -> Path:
    """The base's folder on this machine, every file of it checked."""
    base = json.loads((HERE / "evidence" / "evidence.json").read_text(encoding="utf-8"))["base"]
    if settings.get("base"):
        own = Path(settings["base"])
        _require(base["files"], own)
        return own
    key = hashlib.sha256(json.dumps(base["files"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
    cache = Path(settings.get("cache") or Path.home() / ".cache" / "tunegate" / "bases")
    folder = cache / f"{base['digest'][:16]}-{key[:16]}"
    if not folder.is_dir():
        _fetch_base(base["digest"], key, folder)
    _require(base["files"], folder)
    return folder


def _fetch_base(digest: str, key: str, folder: Path) -> None:
    wanted = f"tags.`tunegate.base_digest` = '{digest}' and tags.`tunegate.base_files` = '{key}' and attributes.status = 'FINISHED'"
    runs = mlflow.search_runs(experiment_names=[EXPERIMENT], filter_string=wanted, max_results=1, output_format="list")
    if not runs:
        raise ValueError(
            f"base {digest[:12]} is not in the experiment {EXPERIMENT} of {mlflow.get_tracking_uri()}; "
            'name a folder that has it: load_model(..., model_config={"base": FOLDER})'
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as draft:
        mlflow.artifacts.download_artifacts(run_id=runs[0].info.run_id, artifact_path="base", dst_path=draft)
        try:
            os.rename(Path(draft) / "base", folder)
        except OSError:
            # Somebody else was faster: that folder is checked like any other.
            if not folder.is_dir():
                raise


def _require(wanted: dict[str, str], folder: Path, besides: str | None = None) -> None:
    found = dict(_digests(folder))
    found.pop(besides or "", None)
    wrong = sorted({name for name, _ in found.items() ^ wanted.items()})
    if wrong:
        raise ValueError(f"{len(wrong)} file(s) in {folder} are not those that the version was registered with: {', '.join(wrong[:5])}")


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        yield path.relative_to(folder).as_posix(), digest.hexdigest()


set_model(Version())
