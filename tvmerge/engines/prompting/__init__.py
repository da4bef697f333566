"""Conversations to tokens and back: chat templates, stop tokens, sampling."""
