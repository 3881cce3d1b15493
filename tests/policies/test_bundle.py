"""A policy bundle is what its publisher signed, byte for byte, and OPA itself thinks so too."""

from __future__ import annotations

import base64
import gzip
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from marketplace.kernel.errors import DomainError
from marketplace.kernel.signing import SigningKey, generate_key
from marketplace.plumbing import policybundle
from marketplace.plumbing.policybundle import BundleUnreadable, BundleUnsigned, build, read
from marketplace.plumbing.policyfiles import PolicyFiles
from tests.policies.test_access import POLICIES
from tests.policies.test_real_opa import OPA, run

FILES = PolicyFiles(POLICIES)
KEY = generate_key("ES256")


def opened(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}


def packed(contents: dict[str, bytes], *twice: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, body in [*contents.items(), *((name, contents[name]) for name in twice)]:
            member = tarfile.TarInfo(name)
            member.size, member.type = (len(body), tarfile.REGTYPE) if kind == tarfile.REGTYPE else (0, kind)
            member.linkname = "/etc/hostname" if kind != tarfile.REGTYPE else ""
            tar.addfile(member, io.BytesIO(body))
    return out.getvalue()


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_bundle_is_read_as_it_was_built(algorithm: str) -> None:
    key = generate_key(algorithm)
    content = build(FILES, 7, key)
    found = read(content, key.public_jwk)
    assert (found.version, found.revision, found.kid) == (7, FILES.revision, key.kid)
    assert found.files.texts == FILES.texts
    assert found.interface == policybundle.interface()


def test_the_same_policies_give_the_same_bytes_and_another_version_others() -> None:
    assert build(FILES, 1, KEY) == build(PolicyFiles(POLICIES), 1, KEY)
    assert build(FILES, 1, KEY) != build(FILES, 2, KEY)


def test_another_key_is_not_the_publisher() -> None:
    with pytest.raises(BundleUnsigned):
        read(build(FILES, 1, KEY), generate_key("ES256").public_jwk)
    with pytest.raises(BundleUnsigned):
        read(build(FILES, 1, KEY), generate_key("EdDSA").public_jwk)


def test_every_changed_byte_of_every_file_is_noticed() -> None:
    contents = opened(build(FILES, 1, KEY))
    for name, body in contents.items():
        at = len(body) // 2
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises((BundleUnsigned, BundleUnreadable, DomainError)):
            read(packed(contents | {name: changed}), KEY.public_jwk)
    assert read(packed(contents), KEY.public_jwk).version == 1


def test_a_file_more_less_twice_or_of_another_kind_is_noticed() -> None:
    contents = opened(build(FILES, 1, KEY))
    odd = [
        packed({name: body for name, body in contents.items() if "authz" not in name}),
        packed(contents | {"/access/more.rego": b"package access\n"}),
        packed(contents | {"/access/more_test.rego": b"package access_test\n"}),
        packed(contents | {"/../etc/passwd": b"x"}),
        packed(contents | {"/run.sh": b"x"}),
        packed(contents, "/access/access.rego"),
        packed({"/access/access.rego": b""}, kind=tarfile.SYMTYPE),
        packed({name: body for name, body in contents.items() if name != "/.manifest"}),
        packed({name: body for name, body in contents.items() if name != "/.signatures.json"}),
        b"",
        b"\x1f\x8b",
        gzip.compress(b"\0" * (2 << 20)),
        gzip.compress(b"no tar"),
    ]
    for one in odd:
        with pytest.raises((BundleUnsigned, BundleUnreadable)):
            read(one, KEY.public_jwk)


def test_a_signature_without_algorithm_or_with_a_shared_secret_is_none() -> None:
    contents = opened(build(FILES, 1, KEY))
    (token,) = json.loads(contents["/.signatures.json"])["signatures"]
    _, payload, _ = token.split(".")
    for algorithm in ("none", "HS256"):
        header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": KEY.kid, "typ": "JWT"}).encode())
        forged = json.dumps({"signatures": [f"{header.decode().rstrip('=')}.{payload}."]}).encode()
        with pytest.raises(BundleUnsigned):
            read(packed(contents | {"/.signatures.json": forged}), KEY.public_jwk)


needs_opa = pytest.mark.skipif(OPA is None, reason="no OPA here: `make check` builds it where Go is installed")


def verified(folder: Path, content: bytes, key: SigningKey, kid: str = "") -> subprocess.CompletedProcess[str]:
    """What OPA says of a bundle and a public key."""
    (folder / "b.tar.gz").write_bytes(content)
    public = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pem").write_bytes(public)
    flags = ["--verification-key", str(folder / "key.pem"), "--verification-key-id", kid or key.kid]
    words = ["build", "--bundle", str(folder / "b.tar.gz"), "--signing-alg", key.algorithm, *flags]
    return run(*words, "--output", str(folder / "out.tar.gz"))


@needs_opa
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_opa_takes_the_same_signature_and_refuses_the_same_changes(tmp_path: Path, algorithm: str) -> None:
    key = generate_key(algorithm)
    content = build(FILES, 1, key)
    done = verified(tmp_path, content, key)
    assert done.returncode == 0, done.stderr
    contents = opened(content)
    changed = contents | {"/access/access.rego": contents["/access/access.rego"] + b"\n"}
    assert verified(tmp_path, packed(changed), key).returncode != 0
    assert verified(tmp_path, content, generate_key(algorithm), key.kid).returncode != 0
