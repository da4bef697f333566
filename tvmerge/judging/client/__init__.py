"""Sends a request to a chat model, wrapped in cache, retries, limits and budget."""
