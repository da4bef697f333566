"""Reports of a run: result files, figures, the HTML page and terminal output."""
