"""No text that could be read in two ways passes for the document that was signed (T18): 200 pairs and more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from marketplace.kernel.canonical import AmbiguousDocument, canonical, read_strictly
from marketplace.kernel.signing import BadSignature, generate_key, verify_detached

TYP = "agreement+jws"
DOCUMENTS: dict[str, Any] = {
    "agreement": {"type": "agreement", "parties": ["prt_a", "prt_b"], "price_fen": 5_000_000, "uses": {"count": 5}},
    "opinion": {"type": "opinion", "outcome": "PASS", "findings": [{"item": 1, "result": "met"}], "reservations": []},
    "certificate": {"code": "SJ3512026090001", "valid": True, "root": "ab" * 32, "limits": {"export": False}},
    "listing": {"name": "2025示例胸部CT影像数据集", "price_fen": 1, "active": None, "tags": ["CT", "胸部"]},
    "manifest": {"files": [{"path": "a/b.dcm", "sha256": "cd" * 32, "bytes": 9_007_199_254_740_991}], "total": 0},
}
OTHER = {str: "x", int: 1, bool: False, list: [], dict: {}, type(None): 0}


def twins(document: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Texts beside the canonical one: another reader, or a sloppy one, sees something else in them or the same."""
    text = canonical(document).decode()
    for name, value in document.items():
        key, other = json.dumps(name), json.dumps(OTHER[type(value)])
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        yield f"{name} twice, first", f"{{{key}:{other},{text[1:]}".encode()
        yield f"{name} twice, last", f"{text[:-1]},{key}:{other}}}".encode()
        escaped = '"' + "".join(f"\\u{ord(one):04x}" for one in name) + '"'
        yield f"{name} twice, escaped", f"{{{escaped}:{other},{text[1:]}".encode()
        yield f"{name} twice, equal", f"{{{key}:{plain},{text[1:]}".encode()
        for shape, changed in {
            "in another case": {name.upper(): value},
            "with a space": {name + " ": value},
            "with a mark": {"\ufeff" + name: value},
            "with a hidden character": {name + "\u200b": value},
            "with a NUL": {name + "\0": value},
            "changed": {name: OTHER[type(value)]},
            "wrapped": {name: [value]},
        }.items():
            rest = {one: what for one, what in document.items() if one != name}
            yield f"{name} {shape}", json.dumps(rest | changed).encode()
        if type(value) is int:
            for shape in (
                f"{value}.0", f"{value}e0", f"{value}0e-1", f"-{value}", f"+{value}", f"0{value}", f"0x{value}",
                f"{value}.5", f'"{value}"', f"{value + 2**53}", "1e400", "NaN", "-Infinity", "-0",
            ):  # fmt: skip
                yield f"{name} as {shape}", text.replace(f"{key}:{plain}", f"{key}:{shape}").encode()
        if isinstance(value, str):
            for shape, twin in {
                "half a pair": "\\ud800", "two halves apart": "\\ud800 \\udc00", "a NUL": value + "\\u0000",
                "a line break": value + "\n", "another normal form": value + "e\\u0301", "an escape": "\\x41",
            }.items():  # fmt: skip
                yield f"{name} with {shape}", text.replace(f"{key}:{plain}", f'{key}:"{twin}"').encode()
    yield from _whole(text)


def _whole(text: str) -> Iterator[tuple[str, bytes]]:
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "gb18030"):
        body = text.encode(encoding)
        if body != text.encode():
            yield f"in {encoding}", body
    yield "a second document", (text + text).encode()
    yield "a tail", (text + " {}").encode()
    yield "a comment", text.replace("{", "{/**/", 1).encode()
    yield "a trailing comma", (text[:-1] + ",}").encode()
    yield "single quotes", text.replace('"', "'").encode()
    yield "a broken octet", text.encode()[:-2] + b"\xff" + text.encode()[-2:]
    yield "an overlong octet", text.encode()[:-1] + b',"\xc0\x80":1}'
    yield "deep", (text[:-1] + ',"x":' + "[" * 40 + "]" * 40 + "}").encode()
    yield "very deep", (text[:-1] + ',"x":' + "[" * 100_000 + "]" * 100_000 + "}").encode()
    yield "wrapped", f"[{text}]".encode()
    yield "as text", json.dumps(text).encode()


PAIRS = [(kind, what, body) for kind, document in DOCUMENTS.items() for what, body in twins(document)]


def test_there_are_two_hundred_pairs() -> None:
    assert len({body for _, _, body in PAIRS}) >= 200


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_no_twin_of_a_document_passes_for_it(algorithm: str) -> None:
    key = generate_key(algorithm)
    signatures = {kind: key.sign_detached(canonical(one), typ=TYP) for kind, one in DOCUMENTS.items()}
    same = 0
    for kind, what, body in PAIRS:
        signed, jws = canonical(DOCUMENTS[kind]), signatures[kind]
        verify_detached(jws, signed, key.public_jwk, typ=TYP)
        if body != signed:
            with pytest.raises(BadSignature):
                verify_detached(jws, body, key.public_jwk, typ=TYP)
        try:
            read = read_strictly(body)
            again = canonical(read)
        except AmbiguousDocument:
            continue
        if again == signed:
            # The same document in another spelling: every reader must see the same in it.
            assert json.loads(body) == DOCUMENTS[kind] == read, (kind, what)
            same += 1
            continue
        with pytest.raises(BadSignature):
            verify_detached(jws, again, key.public_jwk, typ=TYP)
    assert same < len(PAIRS) / 20


def test_what_is_read_is_written_again_as_it_was() -> None:
    for document in DOCUMENTS.values():
        assert canonical(read_strictly(canonical(document))) == canonical(document)
