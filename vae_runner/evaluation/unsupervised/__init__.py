"""Scores that need no factors: of codes, of images and their reconstructions, of a model and of several."""
