"""What figures are drawn with: scales, and SVG with a style sheet that follows light and dark schemes."""
