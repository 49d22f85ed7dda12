"""Tests that run the real llama.cpp."""
