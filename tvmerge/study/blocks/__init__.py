"""Searches whose candidates answer a block of questions at a time, pieced together by a Gaussian process."""
