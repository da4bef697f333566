"""Measures how many judge calls a search takes to find a merge of a given quality; see `__main__`."""
