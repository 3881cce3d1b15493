"""What a use costs, by the engine of `exchange.pricing`: asked before, charged after, counted by month."""
