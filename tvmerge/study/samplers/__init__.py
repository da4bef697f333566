"""Samplers: how the next weights are chosen."""
