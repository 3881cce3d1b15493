"""Proof of use by the buyer: reports of use and certificates of deletion, due dates, what a missing one stops."""
