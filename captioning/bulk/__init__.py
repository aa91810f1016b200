"""Captions of any number of images, by several processes, resumably."""
