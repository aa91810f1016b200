"""Captions of any number of pictures, by several processes, resumably."""
