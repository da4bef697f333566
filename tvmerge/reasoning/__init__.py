"""What a thinking model says before its answer, separated from the answer."""
