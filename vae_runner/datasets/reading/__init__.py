"""From a file, or from an item of a data set, to the pixels of an image: which files there are, how each is decoded."""
