"""Acts on a signed agreement and its successors."""
