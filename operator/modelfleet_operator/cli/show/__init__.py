"""Pure: what was read -> lines of text, or a document for programs."""
