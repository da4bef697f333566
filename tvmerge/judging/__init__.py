"""Judging: answers become ratings."""
