"""The books: append-only double entry, one sub-ledger per participant, every posting tied to its log entry."""
