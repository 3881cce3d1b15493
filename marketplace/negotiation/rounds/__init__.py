"""Negotiation in rounds: what each side proposed, who may answer for the provider, and what answers by itself."""
