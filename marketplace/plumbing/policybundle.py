"""Policy bundles: OPA's own archive with OPA's own signature over it, so that an OPA server checks the same bytes.

The archive holds `.manifest` (revision, roots, and under `metadata` our version number and the contracts of input and
decision), the policies with their static data, and `.signatures.json`: one JWT over the SHA-256 of every other file,
made by the publisher outside the service.  Nothing but these files is accepted.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

import jwt
from jwt.api_jws import PyJWS

from marketplace.kernel.canonical import Json, canonical, digest, read_strictly, sha256_hex
from marketplace.kernel.errors import Conflict, Invalid, shown
from marketplace.kernel.signing import Jwk, SigningKey, read_header, require_public_jwk
from marketplace.plumbing.policyfiles import PolicyFiles

LARGEST: Final = 1 << 20
"""Bytes of a bundle, packed and unpacked."""
MOST_FILES: Final = 200
MANIFEST: Final = ".manifest"
SIGNATURES: Final = ".signatures.json"
_PATH = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+)*/([a-z0-9_]+\.rego|data\.json)")
_CONTRACTS = Path(__file__).resolve().parents[2] / "contracts" / "policy"


class BundleUnreadable(Invalid):
    """This is no policy bundle."""


class BundleUnsigned(Conflict):
    """The bundle is not signed by the publisher whose policies this service takes."""


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds, its signature checked.

    version: grows with every release; kid: the publisher's key; sha256: of the archive's bytes; interface: hashes of
    the schemas of input and decision that the policies were written for.
    """

    version: int
    kid: str
    sha256: str
    interface: Json
    files: PolicyFiles

    @property
    def revision(self) -> str:
        return self.files.revision


@cache
def interface() -> Json:
    """SHA-256 of the schemas of input and decision that this release speaks, by name."""
    names = {"input": "access-input.schema.json", "decision": "access-decision.schema.json"}
    return {part: digest(read_strictly((_CONTRACTS / name).read_bytes())) for part, name in names.items()}


def build(files: PolicyFiles, version: int, key: SigningKey) -> bytes:
    """A signed bundle of the policies; the same policies, version and key give the same bytes.

    version: greater than that of every bundle before it.
    """
    manifest = {
        "revision": files.revision,
        "roots": files.roots,
        "rego_version": 1,
        "metadata": {"version": version, **interface()},
    }
    contents = {MANIFEST: canonical(manifest)} | {name: text.encode() for name, text in files.texts.items()}
    listed = [{"name": name, "hash": _hash(name, body), "algorithm": "SHA-256"} for name, body in contents.items()]
    signed = key.sign_compact(canonical({"files": listed}), typ="JWT")
    return _archive(contents | {SIGNATURES: canonical({"signatures": [signed]})})


def read(content: bytes, publisher: Jwk) -> Bundle:
    """Check a bundle against the publisher's public key, and read it.

    Raises BundleUnreadable: not exactly the files of a bundle; BundleUnsigned: another key, or other contents.
    """
    contents = _unpacked(content)
    signatures = contents.pop(SIGNATURES, None)
    if signatures is None:
        raise BundleUnsigned("the bundle has no signature", action="build it with `marketplace policy bundle`")
    kid = _require_signature(signatures, contents, publisher)
    manifest = _manifest(contents.pop(MANIFEST, None))
    files = PolicyFiles.of({name: _text(name, body) for name, body in contents.items()})
    if (manifest["revision"], manifest["roots"]) != (files.revision, files.roots):
        raise BundleUnreadable("the manifest does not tell of these files", expected=files.revision)
    told = manifest["metadata"]
    return Bundle(told.pop("version"), kid, sha256_hex(content), told, files)


def _archive(contents: dict[str, bytes]) -> bytes:
    """Not compressed, so that the bytes do not depend on the compressor; no times, names or modes of a machine."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, body in sorted(contents.items()):
            member = tarfile.TarInfo(f"/{name}")
            member.size, member.mode = len(body), 0o644
            tar.addfile(member, io.BytesIO(body))
    return gzip.compress(out.getvalue(), compresslevel=0, mtime=0)


def _unpacked(content: bytes) -> dict[str, bytes]:
    try:
        plain = zlib.decompressobj(wbits=31).decompress(content, LARGEST + 1)
        if len(content) > LARGEST or len(plain) > LARGEST:
            raise BundleUnreadable("the bundle is too large", expected=f"at most {LARGEST} bytes")
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            return _members(tar)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise BundleUnreadable("not a gzipped tar", action="build it with `marketplace policy bundle`") from error


def _members(tar: tarfile.TarFile) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for member in tar:
        name = member.name.removeprefix("/")
        wanted = name in {MANIFEST, SIGNATURES} or (_PATH.fullmatch(name) and not name.endswith("_test.rego"))
        file = tar.extractfile(member) if member.isreg() and wanted and name not in found else None
        if file is None or len(found) == MOST_FILES:
            raise BundleUnreadable(
                "a file that no bundle holds", expected="policies, data.json, each once", got=shown(name)
            )
        found[name] = file.read()
    return found


def _require_signature(signatures: bytes, contents: dict[str, bytes], publisher: Jwk) -> str:
    """The id of the key, if it is the publisher's and signed exactly these contents."""
    public = require_public_jwk(publisher)
    document = read_strictly(signatures)
    tokens = document.get("signatures") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(tokens, list) or len(tokens) != 1 or not isinstance(tokens[0], str):
        raise BundleUnreadable("the signature file is not one list of one token")
    header = read_header(tokens[0])
    if (header.get("alg"), header.get("kid")) != (public["alg"], public["kid"]):
        raise BundleUnsigned("the bundle is signed with another key than the publisher's", expected=public["kid"])
    try:
        payload = PyJWS().decode(tokens[0], jwt.PyJWK(public, public["alg"]), algorithms=[public["alg"]])
    except (jwt.PyJWTError, ValueError) as error:
        raise BundleUnsigned("the signature was not made with the publisher's key", expected=public["kid"]) from error
    listed = [{"name": name, "hash": _hash(name, body), "algorithm": "SHA-256"} for name, body in contents.items()]
    if _by_name(read_strictly(payload)) != sorted(listed, key=lambda one: one["name"]):
        raise BundleUnsigned("the files are not those that were signed", action="build the bundle again")
    return str(public["kid"])


def _by_name(payload: object) -> list[object] | None:
    files = payload.get("files") if isinstance(payload, dict) and set(payload) == {"files"} else None
    if not isinstance(files, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in files
    ):
        return None
    return sorted(files, key=lambda one: one["name"])


def _manifest(body: bytes | None) -> Json:
    manifest = read_strictly(body) if body is not None else None
    keys = {"revision", "roots", "rego_version", "metadata"}
    if not isinstance(manifest, dict) or set(manifest) != keys or manifest["rego_version"] != 1:
        raise BundleUnreadable("the manifest is not one of ours", expected=", ".join(sorted(keys)))
    told = manifest["metadata"]
    if not isinstance(told, dict) or set(told) != {"version", *interface()}:
        raise BundleUnreadable("the manifest does not tell version and contracts")
    if type(told["version"]) is not int or told["version"] < 1:
        raise BundleUnreadable("the version is not a whole number from 1 on")
    return manifest


def _text(name: str, body: bytes) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleUnreadable("a file is not UTF-8", got=shown(name)) from error
    if name.endswith(".json"):
        read_strictly(text)
    return text


def _hash(name: str, body: bytes) -> str:
    """As OPA hashes: JSON by its canonical form, everything else by its bytes."""
    structured = PurePosixPath(name).name in {MANIFEST, "data.json"}
    return digest(read_strictly(body)) if structured else sha256_hex(body)
