"""Small helpers that know nothing about merging, judging or studies."""
