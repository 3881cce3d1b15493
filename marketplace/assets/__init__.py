"""Asset, version, passport, and the stage table: what is owned and sold, and how far it has come."""
