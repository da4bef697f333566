"""The engine that answers with a GGUF file, in llama.cpp's server."""
