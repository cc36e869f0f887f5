"""One package format a file: what is in this place, and how is it served?"""
