"""Writes a merged model and the files that accompany it."""
