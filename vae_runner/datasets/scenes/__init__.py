"""Data sets of rendered scenes: Shapes3D."""
