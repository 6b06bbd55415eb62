"""From a video file to numbers: pure functions, a room a subject."""
