"""Examples that run from a checkout; no part of the installed package."""
