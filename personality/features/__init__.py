"""From a video file to features: pure functions, and the cache of their results."""
