"""The comparison of searches on a real small chat model."""
