"""The machine room: database, web edge, idempotency, outbox, policy port, object store; no business rule."""
