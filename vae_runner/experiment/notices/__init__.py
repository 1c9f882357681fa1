"""What is told before a run starts: what it will take, what is seldom wanted, and what it is too short for."""
