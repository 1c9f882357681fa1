"""Scores of codes for which the factors of the images are known."""
