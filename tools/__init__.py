"""What `make` runs to install tvmerge."""
