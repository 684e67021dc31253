"""Command lines: the guest's `guestwire-agent`. Each subcommand imports what it needs when used."""
