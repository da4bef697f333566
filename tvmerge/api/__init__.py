"""The functions of the Python API, one file each; `import tvmerge` exports them."""
