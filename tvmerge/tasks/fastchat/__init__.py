"""Benchmarks in FastChat's format, and its files of answers and judgments."""
