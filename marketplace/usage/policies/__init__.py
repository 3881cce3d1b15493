"""Replacing the policies of a running market: signed bundles, tried before they decide."""
