"""Separates the thoughts of a model from its answers."""
