"""The Python API: what `import tvmerge` gives, a file for each function."""
