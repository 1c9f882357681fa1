"""What is wrong with settings, each by itself, and what their values are."""
