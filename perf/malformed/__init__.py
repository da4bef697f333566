"""Gives the command line damaged and hostile files, and counts what it does with them."""
