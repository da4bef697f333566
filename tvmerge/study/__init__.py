"""The search: which weights to try next, and what is known of those tried."""
