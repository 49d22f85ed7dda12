"""Conversations of other programs, read as hostile input; begin at `reading.py`."""
