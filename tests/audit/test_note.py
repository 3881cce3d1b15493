"""Notes against the examples of the C2SP specifications, and against hostile text."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from marketplace.audit.note import (
    COSIGNATURE,
    SIGNATURE,
    BadNote,
    NoteKey,
    TreeHead,
    VerifierKey,
    open_checkpoint,
    parse_note,
)
from tests.audit.world import second_spelling

# The verifier key of the Go checksum database, published with every Go release.
GO_SUM_DB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
HEAD = TreeHead("market.example/log", 7, bytes(range(32)))


@pytest.fixture
def log() -> NoteKey:
    return NoteKey("market.example/log", SIGNATURE, Ed25519PrivateKey.generate())


@pytest.fixture
def witness() -> NoteKey:
    return NoteKey("witness.example/w1", COSIGNATURE, Ed25519PrivateKey.generate())


def test_a_published_verifier_key_reads_and_writes_the_same() -> None:
    key = VerifierKey.parse(GO_SUM_DB)
    assert key.name == "sum.golang.org"
    assert str(key) == GO_SUM_DB


def test_a_cosigned_checkpoint_opens_with_both_keys(log: NoteKey, witness: NoteKey) -> None:
    signed = f"{HEAD.text}\n{log.sign(HEAD.text)}{witness.sign(HEAD.text, 1_700_000_000)}"
    assert open_checkpoint(signed, log.verifier, witness.verifier) == HEAD
    assert parse_note(signed).verify(witness.verifier) == 1_700_000_000


def test_a_checkpoint_without_the_witness_does_not_open_with_its_key(log: NoteKey, witness: NoteKey) -> None:
    with pytest.raises(BadNote, match="not signed by the expected key"):
        open_checkpoint(f"{HEAD.text}\n{log.sign(HEAD.text)}", log.verifier, witness.verifier)


def test_a_cosignature_binds_its_time(log: NoteKey, witness: NoteKey) -> None:
    line = witness.sign(HEAD.text, 1_700_000_000)
    raw = bytearray(base64.b64decode(line.split()[2]))
    raw[11] ^= 1
    forged = f"— {witness.name} {base64.b64encode(bytes(raw)).decode()}\n"
    with pytest.raises(BadNote, match="does not fit"):
        parse_note(f"{HEAD.text}\n{forged}").verify(witness.verifier)


@pytest.mark.parametrize("at", [2, 4, 5], ids=["root", "signature", "cosignature"])
def test_a_second_spelling_of_its_base64_never_opens(log: NoteKey, witness: NoteKey, at: int) -> None:
    lines = f"{HEAD.text}\n{log.sign(HEAD.text)}{witness.sign(HEAD.text, 1_700_000_000)}".split("\n")
    lines[at] = second_spelling(lines[at])
    with pytest.raises(BadNote):
        open_checkpoint("\n".join(lines), log.verifier, witness.verifier)


@given(st.integers(0, 60), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_changed_character_never_opens(place: int, char: str) -> None:
    key = NoteKey("market.example/log", SIGNATURE, Ed25519PrivateKey.from_private_bytes(b"\7" * 32))
    text = HEAD.text[:place] + char + HEAD.text[place + 1 :]
    if text == HEAD.text:
        return
    with pytest.raises(BadNote):
        open_checkpoint(f"{text}\n{key.sign(HEAD.text)}", key.verifier)


@given(st.text(max_size=200))
def test_any_text_is_either_a_note_or_refused(text: str) -> None:
    try:
        note = parse_note(text)
    except BadNote:
        return
    assert note.signatures


@pytest.mark.parametrize(
    "line", ["", "name", "name+00000000+AAAA", GO_SUM_DB.replace("033de0ae", "033de0af"), "a b+00000000+AAAA", "+1+2"]
)
def test_an_odd_verifier_key_is_refused(line: str) -> None:
    with pytest.raises(BadNote):
        VerifierKey.parse(line)


@pytest.mark.parametrize("size", ["-1", "01", "1e3", " 1", "1" * 20, ""])
def test_an_odd_size_is_refused(size: str) -> None:
    with pytest.raises(BadNote):
        TreeHead.parse(HEAD.text.replace("7", size, 1))
