"""Converts question sets in other formats into a benchmark folder."""
