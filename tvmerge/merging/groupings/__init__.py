"""Groupings: which tensors share a weight."""
