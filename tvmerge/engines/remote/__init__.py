"""Engines in other processes and on other nodes."""
