"""Judging with the providers' batch endpoints: slower, cheaper, and resumable after any interruption."""
