"""`vae-evaluate`: what is asked for, the runs one after the other, and the table of what they scored."""
