"""From ratings to numbers: means, intervals, races."""
