"""`python -m vae_runner` is `vae-train`."""

from vae_runner.cli import main

if __name__ == "__main__":
    main()
