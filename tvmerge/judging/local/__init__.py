"""A judge on this machine: its checkpoint, the memory it takes, and its model."""
