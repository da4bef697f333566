"""Merging beside a live model on an accelerator: what stays there, what streams in, what does the sums."""
