"""Freezing file systems so that none is left frozen: order, hooks, a mark on disk, a deadline."""
