"""What providers owe for stages to law firms, registrars and others: ordered from a bank, confirmed, owed again."""
