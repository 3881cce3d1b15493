"""From a provider's files to an immutable raw version: received, parsed in the sandbox, sealed under one root."""
