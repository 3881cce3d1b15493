"""The tree against the published Certificate Transparency vectors and against its own definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.audit import tree
from marketplace.audit.verifier.tree import root_from_path

LEAVES = [
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
sizes = st.integers(min_value=1, max_value=300)


def leaf_hashes(count: int) -> list[bytes]:
    return [tree.leaf_hash(i.to_bytes(4)) for i in range(count)]


def naive_root(hashes: list[bytes]) -> bytes:
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return tree.node_hash(naive_root(hashes[:split]), naive_root(hashes[split:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_certificate_transparency_vectors(size: int) -> None:
    assert tree.root_hash(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert tree.root_hash([]) == tree.EMPTY_ROOT == tree.root_at(tree.list_reader([]), 0)


def test_known_paths_of_the_vectors() -> None:
    hashes = [tree.leaf_hash(one) for one in LEAVES]
    assert [one.hex() for one in tree.inclusion_proof(hashes, 5, 8)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [one.hex() for one in tree.consistency_proof(hashes, 6, 8)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(sizes)
def test_every_way_to_the_root_agrees_with_the_definition(size: int) -> None:
    hashes = leaf_hashes(size)
    expected = naive_root(hashes)
    assert tree.root_of_hashes(hashes) == expected
    assert tree.root_at(tree.list_reader(hashes), size) == expected


@given(st.data(), sizes)
def test_an_inclusion_proof_holds_for_its_leaf_place_and_root_only(data: st.DataObject, size: int) -> None:
    hashes = leaf_hashes(size)
    index = data.draw(st.integers(0, size - 1))
    proof, root = tree.inclusion_proof(hashes, index, size), tree.root_of_hashes(hashes)
    assert tree.verify_inclusion(hashes[index], index, size, proof, root)
    assert root_from_path(hashes[index], index, size, proof) == root
    other = data.draw(st.integers(-1, size).filter(lambda one: one != index))
    for wrong in (
        (tree.leaf_hash(b"forged"), index, size, proof),
        (hashes[index], other, size, proof),
        (hashes[index], index, size, [*proof, b"\0" * 32]),
        (hashes[index], index, size, proof[:-1] if proof else [b"\0" * 32]),
    ):
        assert not tree.verify_inclusion(*wrong, root)
        assert root_from_path(*wrong) != root


@given(st.data(), sizes)
def test_a_consistency_proof_holds_for_true_growth_only(data: st.DataObject, new: int) -> None:
    hashes = leaf_hashes(new)
    old = data.draw(st.integers(0, new))
    proof = tree.consistency_proof(hashes, old, new)
    old_root, new_root = tree.root_of_hashes(hashes[:old]), tree.root_of_hashes(hashes)
    assert tree.verify_consistency(old, new, proof, old_root, new_root)
    assert not tree.verify_consistency(old, new, [*proof, b"\0" * 32], old_root, new_root)
    assert not tree.verify_consistency(new + 1, new, proof, old_root, new_root)
    if old > 0:
        changed = [tree.leaf_hash(b"rewritten"), *hashes[1:]]
        forged = tree.consistency_proof(changed, old, new)
        assert not tree.verify_consistency(old, new, forged, old_root, tree.root_of_hashes(changed))
        assert not tree.verify_consistency(old, new, proof, b"\0" * 32, new_root)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_for_a_leaf_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        tree.inclusion_proof(leaf_hashes(4), index, size)


def test_a_tree_cannot_extend_a_larger_one() -> None:
    with pytest.raises(ValueError, match="cannot extend"):
        tree.consistency_proof(leaf_hashes(4), 4, 3)
