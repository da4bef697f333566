"""Merging: source checkpoints and a recipe become tensors."""
