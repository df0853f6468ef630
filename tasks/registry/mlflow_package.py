"""What `mlflow.pyfunc` needs to run a version: `MLmodel` with a signature, code that stands alone, an example, requirements."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tasks.manifest import Manifest
from tasks.rows import Message

_CODE = Path(__file__).with_name("package_pyfunc.py")
_FILES = {
    "MLmodel", _CODE.name, "input_example.json", "serving_input_example.json", "requirements.txt", "conda.yaml", "python_env.yaml",
}  # fmt: skip
_SETTINGS = {"base": "", "cache": ""}
"""What can be given when a version is loaded: MLflow passes over every name that was not there when it was saved."""
_REQUIRED = ("mlflow", "torch", "transformers", "safetensors", "peft")


def write_package(folder: Path, manifest: Manifest, example: Sequence[Message], metadata: dict[str, Any]) -> dict[str, Path]:
    """Writes the files that go beside a version's two folders; returns them by name.

    Args:
        folder: does not exist yet.
        example: a chat, without its answer, that shows what the version is asked.
        metadata: what `MLmodel` says of the version besides.
    """
    import mlflow.pyfunc
    from mlflow.models import Model

    mlflow.pyfunc.save_model(
        path=str(folder), python_model=str(_CODE), signature=_signature(manifest), input_example=[{"messages": list(example)}],
        pip_requirements=_requirements(manifest), metadata=metadata, model_config=_SETTINGS,
    )  # fmt: skip
    written = Model.load(str(folder))
    # MLflow notes where the code lay on this machine, and goes by the last part when it loads it.
    written.flavors[mlflow.pyfunc.FLAVOR_NAME][mlflow.pyfunc.MODEL_CODE_PATH] = _CODE.name
    written.save(str(folder / "MLmodel"))
    # MLflow adds files of a project that it finds in the working directory: they are nobody's business.
    return {path.name: path for path in sorted(folder.iterdir()) if path.name in _FILES}


def _signature(manifest: Manifest) -> Any:
    """A column of chats in, a column of texts out; how long an answer may be is a parameter."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, Object, ParamSchema, ParamSpec, Property, Schema

    turn = Object(
        [Property("role", DataType.string), Property("content", DataType.string), Property("tool_calls", DataType.string, required=False)]
    )
    return ModelSignature(
        inputs=Schema([ColSpec(Array(turn), "messages")]),
        outputs=Schema([ColSpec(DataType.string, "answer")]),
        params=ParamSchema([ParamSpec("max_new_tokens", DataType.integer, manifest.max_new_tokens)]),
    )


def _requirements(manifest: Manifest) -> list[str]:
    """Versions that the answers were judged with. Not tunegate, even where it is needed: no index has it, and one may have a namesake."""
    names = (*_REQUIRED, "bitsandbytes") if manifest.base.quantization else _REQUIRED
    return [requirement for name in names if (requirement := _pinned(name)) is not None]


def _pinned(name: str) -> str | None:
    try:
        # Without what a build adds (`2.13.0+cpu`), which is found on one index only.
        return f"{name}=={version(name).partition('+')[0]}"
    except PackageNotFoundError:
        return None
