"""The transparency log: Merkle tree, signed notes, proofs, keys, cosignatures, pins. Knows nothing of models."""
