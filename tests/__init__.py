"""Ember's tests."""
