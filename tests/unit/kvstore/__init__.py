"""Tests of the saved state on the disk."""
