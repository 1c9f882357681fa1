"""Data sets of image files: those of any folder or zip, and the published faces, which know their own folders."""
