"""Source checkpoints: files, names, structure, vocabulary, adapters."""
