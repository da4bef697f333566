"""A model's class, context length and tokenizer, as transformers reads them from its folder."""
