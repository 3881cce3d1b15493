"""De-identification, quality and duplicates: a raw version becomes a governed one in background work."""
