"""What `vae-train --help` prints."""
