"""The assets: slides, annotations, the batch over slides, datasets."""
