"""How a reply marks its reasoning: the spelling that models and templates share."""

REASONING_START = "<think>"
REASONING_END = "</think>"
REASONING_STARTS = (REASONING_START + "\n", REASONING_START)
"""What a reply's text begins with when the generation prompt, not the model, opened its reasoning."""
