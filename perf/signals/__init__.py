"""Measurements of what can be known of candidates without a judge, which tvmerge does not use."""
