"""Patches of slides -> features: `DeepFeatureExtractor`, encoders, and the pipeline of both."""
