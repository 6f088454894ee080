"""Fuzz targets: a module with a function `fuzz`, and a directory of the corpus, each.

`python -m fuzz NAME` runs one.
"""
