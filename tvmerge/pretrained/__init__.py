"""What transformers knows of a model folder: its classes and its tokenizer."""
