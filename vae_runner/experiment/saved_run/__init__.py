"""A run that lies on the disk: found, looked at, loaded, gone on with, drawn again."""
