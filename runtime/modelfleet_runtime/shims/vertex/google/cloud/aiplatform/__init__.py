"""What custom prediction routines import of Vertex AI's library."""
