"""One request to a chat model, and everything that wraps it: cache, retries, limits, budget."""
