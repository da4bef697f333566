"""Judge providers, one file each, imported on use."""
