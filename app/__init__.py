"""Ember: a desktop chat application for local models that keeps every conversation's KV state."""

__version__ = "0.1.0"
