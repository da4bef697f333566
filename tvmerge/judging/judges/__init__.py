"""Judges, which rate answers."""
