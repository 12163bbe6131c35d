"""The embedded AWS: ministack in this process, with what it lacks mended in one module."""
