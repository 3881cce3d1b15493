"""The commands of `marketplace`, one module per kind of user; `cli` puts them together."""
