"""llama.cpp on a real GPU or on Mesa's software one: `make test-gpu`."""
