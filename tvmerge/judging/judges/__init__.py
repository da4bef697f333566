"""Judges: what rates an answer."""
