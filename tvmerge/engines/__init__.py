"""Generation: a live model answers the questions."""
