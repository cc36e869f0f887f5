"""Plan -> the children as they should be. Pure; one kind a file, and `all_of` for the whole."""
