"""Files below a user's home, read and written by root without following what the user plants."""
