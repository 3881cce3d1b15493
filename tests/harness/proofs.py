"""The harness's own hashing and signature checks: nothing of the service, only SHA-256 and `cryptography`."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256


class Tree:
    """A Merkle tree (RFC 9162) that grows leaf by leaf and remembers the root at each size asked for."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        node, ones = leaf, self.size
        while ones & 1:
            node = hashlib.sha256(b"\x01" + self._stack.pop() + node).digest()
            ones >>= 1
        self._stack.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self._stack:
            return hashlib.sha256(b"").digest()
        node = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return node


def leaf_of(body: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + body).digest()


def jws_holds(jws: str, payload: bytes, jwk: dict[str, Any]) -> bool:
    """Whether a compact JWS with detached payload (RFC 7797) was made over these bytes by this key."""
    try:
        head, _, signature = jws.split(".")
        header = json.loads(unbase64(head))
        body = payload if header.get("b64") is False else base64.urlsafe_b64encode(payload).rstrip(b"=")
        return _verified(header["alg"], head.encode() + b"." + body, unbase64(signature), jwk)
    except (ValueError, KeyError, InvalidSignature):
        return False


def _verified(alg: str, signed: bytes, signature: bytes, jwk: dict[str, Any]) -> bool:
    if alg == "EdDSA" and jwk["crv"] == "Ed25519":
        Ed25519PublicKey.from_public_bytes(unbase64(jwk["x"])).verify(signature, signed)
        return True
    if alg == "ES256" and jwk["crv"] == "P-256":
        x, y = (int.from_bytes(unbase64(jwk[name])) for name in "xy")
        raw = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
        EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key().verify(raw, signed, ECDSA(SHA256()))
        return True
    return False


def note_holds(note: str, verifier_key: str) -> bool:
    """Whether a C2SP note bears a valid signature or cosignature of a verifier key."""
    text, gap, lines = note.rpartition("\n\n")
    text += "\n"
    name, _, material = verifier_key.strip().split("+", 2)
    raw = base64.b64decode(material)
    key_id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    for line in lines.splitlines() if gap else ():
        _, signer, encoded = line.split(" ")
        blob = base64.b64decode(encoded)
        if (signer, blob[:4]) != (name, key_id):
            continue
        signed, signature = text.encode(), blob[4:]
        if raw[0] == 4:
            signed = f"cosignature/v1\ntime {int.from_bytes(blob[4:12])}\n{text}".encode()
            signature = blob[12:]
        try:
            Ed25519PublicKey.from_public_bytes(raw[1:]).verify(signature, signed)
        except InvalidSignature:
            return False
        return True
    return False


def head_of(note: str) -> tuple[int, bytes]:
    """(size, root) of a checkpoint note."""
    _, size, root = note.split("\n")[:3]
    return int(size), base64.b64decode(root)


def unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def tree_of(leaves: Sequence[bytes], sizes: set[int]) -> dict[int, bytes]:
    """Size -> root, for the sizes asked for that the leaves reach."""
    tree = Tree()
    found = {0: tree.root()} if 0 in sizes else {}
    for leaf in leaves:
        tree.add(leaf)
        if tree.size in sizes:
            found[tree.size] = tree.root()
    return found
