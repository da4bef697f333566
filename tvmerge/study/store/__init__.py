"""Stores of a study's trials."""
