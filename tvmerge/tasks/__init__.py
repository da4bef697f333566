"""Evaluation: benchmarks, their file formats and the statistics of scores."""
