"""Tests of what is kept of conversations."""
