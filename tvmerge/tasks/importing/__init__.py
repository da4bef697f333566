"""Question sets in other formats, made into a benchmark folder."""
