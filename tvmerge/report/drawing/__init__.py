"""Tools for figures: scales, and SVG with a style sheet for light and dark schemes."""
