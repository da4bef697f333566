"""Judges that run on this machine: their checkpoint, memory and model."""
