"""What a thinking model says before its answer, told apart from the answer."""
