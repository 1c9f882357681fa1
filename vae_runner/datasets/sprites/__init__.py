"""dSprites: the set and its factors, the published file, the renderer that takes its place, images in less memory."""
