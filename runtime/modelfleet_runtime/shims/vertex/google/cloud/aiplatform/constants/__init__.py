"""Names that the routines share."""
