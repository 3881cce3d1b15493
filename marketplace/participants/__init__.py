"""Organisations with verified identity, their roles and public keys; how an API client proves who it is."""
