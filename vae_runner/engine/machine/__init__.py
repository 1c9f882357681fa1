"""What a step runs on: threads, memory that is kept, compilation, and what is global to the process."""
