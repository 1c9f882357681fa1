"""KL divergences in closed form, within a family and between two, and their estimate by samples."""
