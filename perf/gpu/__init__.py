"""Checks tvmerge on this machine's GPU; see `__main__`."""
