"""What is set up in a process before, and around, what it is asked to do."""
