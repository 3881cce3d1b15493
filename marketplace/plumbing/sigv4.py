"""AWS Signature Version 4 for S3: the headers that prove a request, made from keys that are passed in and kept nowhere.

Bodies are sent as UNSIGNED-PAYLOAD, since their hash is known only after their last byte has left.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNRESERVED: Final = "-_.~"


@dataclass(frozen=True)
class Keys:
    """Credentials of S3.  session: of short-lived ones, or empty."""

    identity: str = field(repr=False)
    secret: str = field(repr=False)
    session: str = field(default="", repr=False)


def encoded_path(path: str) -> str:
    """A path as it is sent and signed."""
    return quote(path, safe=f"/{_UNRESERVED}")


def encoded_query(query: Mapping[str, str]) -> str:
    """A query as it is sent and signed: in order of names."""
    return "&".join(f"{quote(name, safe=_UNRESERVED)}={quote(query[name], safe=_UNRESERVED)}" for name in sorted(query))


def signed_headers(
    method: str,
    host: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    keys: Keys,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """The headers of a request, `headers` among them, with its signature; `Host` is signed and not returned.

    path: unencoded.  Source: AWS documentation of Amazon S3, "Authenticating Requests (AWS Signature Version 4)".
    """
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    own = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": moment}
    own |= {"x-amz-security-token": keys.session} if keys.session else {}
    sent = {name.lower(): value for name, value in headers.items()} | own
    signed = dict(sorted((sent | {"host": host}).items()))
    names = ";".join(signed)
    lines = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in signed.items())
    request = "\n".join((method, encoded_path(path), encoded_query(query), lines, names, own["x-amz-content-sha256"]))
    text = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for part in (moment[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    proof = f"{_ALGORITHM} Credential={keys.identity}/{scope}, SignedHeaders={names}, Signature={signature}"
    return sent | {"authorization": proof}
