"""Saved KV state on the disk: chunks of tokens as a prefix tree, under a byte budget. Knows no Qt and no llama.cpp."""
