"""Listings described in DCAT 3 and HealthDCAT-AP, from what is known of them; nothing is said that no fact says."""
