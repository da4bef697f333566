"""Judging by the providers' batch endpoints: slower, cheaper, and gone on with after any interruption."""
