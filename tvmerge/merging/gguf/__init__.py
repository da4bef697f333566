"""GGUF files of a merged model, written by the programs of llama.cpp."""
