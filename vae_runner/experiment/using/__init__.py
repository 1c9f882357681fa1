"""What a trained model is of use for, batch by batch: images to codes, codes to images, the model in other forms."""
