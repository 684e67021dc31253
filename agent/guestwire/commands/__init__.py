"""The command modules: one file a subject. They check, call `system`, and return plain data."""
