"""Ways through latent space: from a model and images to a grid of decoded images."""
