"""Resource-limited child processes for untrusted files; filled in by the collection room's pool."""
