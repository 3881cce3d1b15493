"""Private keys in the parties' own folders: whole or absent, for the owner's eyes only, never replaced."""

from __future__ import annotations

import json

import pytest

from marketplace.client.keys import BadPartyName, KeyExposed, KeyFolder, NoSuchParty, PartyExists


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_a_key_is_made_once_and_found_again(tmp_path, algorithm):
    made = KeyFolder(tmp_path / "keys").create("hospital", algorithm)
    found = KeyFolder(tmp_path / "keys").load("hospital")
    assert (found.key.kid, found.key.algorithm, found.participant_id) == (made.key.kid, algorithm, None)
    assert KeyFolder(tmp_path / "keys").open("hospital").key.kid == made.key.kid


def test_only_the_owner_can_read_the_key(tmp_path):
    KeyFolder(tmp_path).create("hospital")
    path = tmp_path / "hospital" / "key.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o640)
    with pytest.raises(KeyExposed, match="mode 0640"):
        KeyFolder(tmp_path).load("hospital")


def test_the_party_file_holds_the_id_and_the_public_half_only(tmp_path):
    folder = KeyFolder(tmp_path)
    party = folder.create("pharma", "ES256")
    folder.enrol("pharma", "prt_1")
    assert folder.load("pharma").participant_id == "prt_1"
    body = json.loads((tmp_path / "pharma" / "party.json").read_text())
    assert body == {"participant_id": "prt_1", "jwk": party.key.public_jwk}
    assert sorted(path.name for path in (tmp_path / "pharma").iterdir()) == ["key.pem", "party.json"]


def test_a_key_is_never_replaced(tmp_path):
    folder = KeyFolder(tmp_path)
    made = folder.create("hospital")
    with pytest.raises(PartyExists):
        folder.create("hospital")
    assert folder.load("hospital").key.kid == made.key.kid


def test_a_creation_that_was_cut_off_is_made_good(tmp_path):
    folder = KeyFolder(tmp_path)
    made = folder.create("hospital")
    (tmp_path / "hospital" / "party.json").unlink()  # killed between the two files
    assert folder.open("hospital").key.kid == made.key.kid
    assert folder.enrol("hospital", "prt_1").participant_id == "prt_1"


@pytest.mark.parametrize("name", ["", "..", "a/b", "../up", "A", "a" * 65, ".hidden", "a\n"])
def test_a_name_is_not_a_path(tmp_path, name):
    with pytest.raises(BadPartyName):
        KeyFolder(tmp_path / "keys").create(name)
    assert list(tmp_path.iterdir()) == []


def test_a_party_without_a_key_is_not_found(tmp_path):
    folder = KeyFolder(tmp_path)
    with pytest.raises(NoSuchParty):
        folder.load("nobody")
    folder.create("b")
    folder.create("a")
    assert folder.names() == ["a", "b"]
