"""Small helpers that know nothing of merging, judging or studies."""
