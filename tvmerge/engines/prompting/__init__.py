"""From a conversation to tokens and back: chat templates, stop tokens, sampling."""
