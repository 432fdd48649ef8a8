"""A trained model as a GGUF file for llama.cpp, Ollama and phones: converted, quantized, and compared with itself."""
