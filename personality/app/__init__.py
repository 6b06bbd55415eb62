"""A page on one's own machine: choose a model, drop in a video, and read its scores and their reasons."""
