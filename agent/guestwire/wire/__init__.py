"""Bytes to events and back, for each dialect. Nothing here does I/O or knows the time."""
