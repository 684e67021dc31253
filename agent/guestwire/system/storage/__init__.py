"""Mounts, block devices, and what the kernel is asked to do with them."""
