"""Parts of images as labelling tools write them: run lengths, polygons, small pictures."""
