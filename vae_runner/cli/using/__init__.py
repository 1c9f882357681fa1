"""`vae-use`: what a trained model is of use for, a verb for each."""
