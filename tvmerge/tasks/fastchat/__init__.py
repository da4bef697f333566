"""Benchmarks in FastChat's format, and the files of answers and judgments."""
