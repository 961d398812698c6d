"""Task families and the episode sampler."""
