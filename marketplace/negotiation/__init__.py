"""From access request to agreement: the usage contract as one document that both parties sign."""
