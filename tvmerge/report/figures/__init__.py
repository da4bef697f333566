"""Figures as SVG: a small writer, scales, and one file a figure."""
