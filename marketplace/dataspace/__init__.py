"""The Dataspace Protocol 2025-1 as adapters: messages in and out, and no rules of its own."""
