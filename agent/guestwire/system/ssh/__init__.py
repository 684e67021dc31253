"""SSH keys: lines, the files that hold them, and which files sshd reads."""
