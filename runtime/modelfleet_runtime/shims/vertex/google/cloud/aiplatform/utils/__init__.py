"""Help with artifacts."""
