"""Images in arrays: files of NumPy and HDF5, read in pieces, and columns that say of what factors the images are."""
