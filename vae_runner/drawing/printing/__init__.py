"""Pictures for print: how charts and grids of images are laid out on paper."""
