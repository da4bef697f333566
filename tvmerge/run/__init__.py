"""A run: search, compare on held-out questions, write the model."""
