"""Merges source checkpoints by a recipe into a stream of tensors."""
