"""From charges to money: one invoice to the buyer, its payment, and the waterfall of shares behind it."""
