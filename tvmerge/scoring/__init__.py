"""Statistics of ratings: means, confidence intervals, early stopping."""
