"""What is done to a guest. Every change goes through a `Root`, every process through `run`."""
