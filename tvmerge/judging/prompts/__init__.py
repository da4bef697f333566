"""Judge prompts, and reading the replies to them."""
