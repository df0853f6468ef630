"""Who was logged in to MLflow when a version was registered or decided on, signed by the server, so that nobody else can write it.

MLflow's tags carry no user. Where its basic-auth is on with tunegate's app (`deployments.mlflow_app`), the server writes this value beside
the reviewer's tag. The signature is HMAC-SHA-256 (RFC 2104) over the canonical JSON of the other fields, with a key that the server and the
workers share (`TUNEGATE_STAMP_KEY`).
"""

import hmac
import json

from pydantic import ValidationError

from tasks.artifacts import Record

REGISTERED = "registered"
"""What the stamp of a new version says in place of a reviewer's word."""

STAMP_KEY = "TUNEGATE_STAMP_KEY"
"""Variable with the key. Without it no stamp is written, and none is believed."""


class Stamp(Record):
    """Who did what to which version, when (UTC, ISO 8601), and which digests its tags named then."""

    user: str
    did: str
    at: str
    model_name: str
    version: int
    artifact_digest: str | None = None
    gate_report_digest: str | None = None


class _Signed(Stamp):
    signature: str


def signed(stamp: Stamp, key: str) -> str:
    """The value of the tag."""
    return json.dumps({**stamp.model_dump(), "signature": _signature(stamp, key)}, ensure_ascii=False)


def read_stamp(text: str | None, key: str | None, model_name: str, version: int) -> Stamp | None:
    """The stamp of exactly this version; null if there is none, it is of another version, or the server did not sign it."""
    if not text or not key:
        return None
    try:
        found = _Signed.model_validate_json(text)
    except ValidationError:
        return None
    stamp = Stamp.model_validate(found.model_dump(exclude={"signature"}))
    genuine = hmac.compare_digest(found.signature.encode(), _signature(stamp, key).encode())
    return stamp if genuine and (stamp.model_name, stamp.version) == (model_name, version) else None


def _signature(stamp: Stamp, key: str) -> str:
    content = json.dumps(stamp.model_dump(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hmac.new(key.encode(), content.encode(), "sha256").hexdigest()
