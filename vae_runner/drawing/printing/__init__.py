"""Pictures for print: the paper, and how charts and grids of images are laid out on it."""
