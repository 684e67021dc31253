"""What a host does with a guest, each written once, as a generator of questions to the agent."""
