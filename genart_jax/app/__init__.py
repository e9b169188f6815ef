"""What talks to people: the command line."""
