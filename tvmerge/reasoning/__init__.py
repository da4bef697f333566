"""Separates a model's thoughts from its answers."""
