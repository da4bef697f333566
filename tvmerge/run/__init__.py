"""One run: from settings to a search, a held-out comparison and a written model."""
