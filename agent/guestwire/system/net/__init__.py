"""The network: what the kernel says of it, what a host wants, and how each manager is told."""
