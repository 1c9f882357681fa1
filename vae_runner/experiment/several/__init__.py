"""A run by several processes: what each can make its part of, the first one of them, and the others."""
