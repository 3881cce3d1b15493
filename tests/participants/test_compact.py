"""A part of a token has one spelling: whatever decodes to the same octets is refused."""

from __future__ import annotations

import base64
import itertools
import string

import pytest

from marketplace.participants.compact import BadToken, read

ALPHABET = string.ascii_letters + string.digits + "-_"
HEADER, CLAIMS = "eyJhbGciOiJFZERTQSJ9", "e30"


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6, 7, 8, 43, 86])
def test_of_all_last_characters_only_those_of_the_one_spelling_are_read(length: int) -> None:
    accepted = set()
    for last, filler in itertools.product(ALPHABET, "A-"):
        part = filler * (length - 1) + last
        padded = part + "=" * (-length % 4)
        try:
            octets = read(f"{HEADER}.{CLAIMS}.{part}").signature
        except BadToken:
            continue
        assert octets == base64.urlsafe_b64decode(padded)
        assert base64.urlsafe_b64encode(octets).decode() == padded
        accepted.add(last)
    assert len(accepted) == {0: 64, 1: 0, 2: 4, 3: 16}[length % 4]
