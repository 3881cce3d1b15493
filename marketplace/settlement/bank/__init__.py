"""The port to the payment provider: by default files for a bank, ISO 20022 pain.001 out and camt.053 in."""
