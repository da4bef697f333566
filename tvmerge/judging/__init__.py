"""Judging: turns answers into ratings."""
