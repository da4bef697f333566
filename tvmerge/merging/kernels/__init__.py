"""The arithmetic of a merge, on each kind of hardware."""
