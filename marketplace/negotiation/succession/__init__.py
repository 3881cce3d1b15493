"""What follows a signed agreement: acts that stop, resume or end it, and successors that take its place."""
