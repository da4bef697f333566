"""The Optuna study: which weights to try next, and the results of those tried."""
