"""Random input that is led by what it reaches in the code; see `python -m perf.fuzz --help`."""
