"""MLflow's server with logins that sign who decides: its basic-auth app, and beside each reviewer's tag a stamp that only it writes.

`mlflow server --app-name tunegate-auth` finds it by the entry point in pyproject.toml; `tunegate up` starts it with that name if
`TUNEGATE_MLFLOW_APP` is set to it. It needs what MLflow's own app needs (extra `auth`; `MLFLOW_FLASK_SERVER_SECRET_KEY`, and
`MLFLOW_AUTH_ADMIN_PASSWORD` at the first start) and `TUNEGATE_STAMP_KEY`, which the workers have to know as well.
"""

from datetime import UTC, datetime
from typing import Any

from pipeline_config.environment import read_secret
from pipeline_config.errors import ConfigError
from tasks.registry.port import APPROVED_BY_TAG, ARTIFACT_TAG, GATE_REPORT_TAG, REQUESTED_BY_TAG, STATUS_TAG
from tasks.registry.stamps import REGISTERED, STAMP_KEY, Stamp, signed

APP_NAME = "tunegate-auth"

_OURS = (APPROVED_BY_TAG, REQUESTED_BY_TAG)
_VERSIONS = "/mlflow/model-versions/"
_FORBIDDEN = 403


def create_app() -> Any:
    """MLflow's basic-auth app with stamps; what a server is given to serve.

    Raises:
        ConfigError: there is no key to sign with.
    """
    from mlflow.server import app, auth

    key = read_secret(STAMP_KEY)
    if not key:
        raise ConfigError("no key to sign stamps with", where=STAMP_KEY, expected="a secret that the server and the workers share")
    served = auth.create_app(app)
    # After MLflow's own, which lets through only who is logged in and may do what is asked.
    app.before_request(lambda: _before(key))
    app.after_request(lambda response: _after(response, key))
    return served


def _before(key: str) -> Any:
    """Refuses whoever writes a stamp; writes one before a reviewer's word is set, so that the word never stands without it."""
    from flask import request

    if request.path.endswith(f"{_VERSIONS}create"):
        return _refusal({STATUS_TAG, *_OURS} & {tag.key for tag in _create_request().tags})
    if request.path.endswith(f"{_VERSIONS}delete-tag"):
        return _refusal({*_OURS} & {_delete_request().key})
    if not request.path.endswith(f"{_VERSIONS}set-tag"):
        return None
    asked = _set_request()
    if asked.key == STATUS_TAG:
        _write_stamp(asked.name, asked.version, APPROVED_BY_TAG, asked.value, key)
    return _refusal({*_OURS} & {asked.key})


def _after(response: Any, key: str) -> Any:
    """Says who registered a version."""
    from flask import request

    if request.path.endswith(f"{_VERSIONS}create") and response.status_code == 200:
        created = response.get_json(force=True)["model_version"]
        _write_stamp(created["name"], created["version"], REQUESTED_BY_TAG, REGISTERED, key)
    return response


def _write_stamp(name: str, version: str, tag: str, did: str, key: str) -> None:
    """Signs who did it, with the digests that the version's tags name now. A version that is not there gets none: MLflow says so itself."""
    from flask import g
    from mlflow.entities.model_registry import ModelVersionTag
    from mlflow.exceptions import MlflowException
    from mlflow.server.handlers import _get_model_registry_store

    store = _get_model_registry_store()
    try:
        tags = store.get_model_version(name, version).tags
    except MlflowException:
        return
    stamp = Stamp(
        user=g.mlflow_authenticated_user, did=did, at=datetime.now(UTC).isoformat(), model_name=name, version=int(version),
        artifact_digest=tags.get(ARTIFACT_TAG), gate_report_digest=tags.get(GATE_REPORT_TAG),
    )  # fmt: skip
    store.set_model_version_tag(name, version, ModelVersionTag(tag, signed(stamp, key)))


# As MLflow's own handlers read a request, so that there is no second meaning to what is sent.


def _set_request() -> Any:
    from mlflow.protos.model_registry_pb2 import SetModelVersionTag
    from mlflow.server.handlers import _get_request_message

    return _get_request_message(SetModelVersionTag())


def _delete_request() -> Any:
    from mlflow.protos.model_registry_pb2 import DeleteModelVersionTag
    from mlflow.server.handlers import _get_request_message

    return _get_request_message(DeleteModelVersionTag())


def _create_request() -> Any:
    from mlflow.protos.model_registry_pb2 import CreateModelVersion
    from mlflow.server.handlers import _get_request_message

    return _get_request_message(CreateModelVersion())


def _refusal(tags: set[str]) -> Any:
    """The answer to somebody who writes what only the server writes; null if nobody does."""
    from flask import jsonify

    if not tags:
        return None
    message = f"tag {' and '.join(sorted(tags))} cannot be written here: who decides is what the server sees"
    return jsonify({"error_code": "PERMISSION_DENIED", "message": message}), _FORBIDDEN
