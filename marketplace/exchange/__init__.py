"""The exchange: offers, listings, the public catalogue and its search, what buyers look for."""
