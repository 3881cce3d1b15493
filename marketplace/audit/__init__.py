"""The log: entries, Merkle tree, checkpoints, proofs, and the verifier that trusts nobody."""
