"""Judging by the providers' batch endpoints: slower, cheaper, and continued after any interruption."""
