"""Unit tests of the window's parts."""
