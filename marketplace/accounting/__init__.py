"""Accounting acts over the books: periods closed and reopened under a signature, assets capitalised and written off."""
