"""A local page over a whole dataset: images, phrases on their patches, annotation sources, similarity."""
