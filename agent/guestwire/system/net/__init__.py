"""Network configuration: what a host wants, and how each network manager is told."""
