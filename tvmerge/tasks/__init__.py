"""What models are asked: benchmarks and tasks, and their file formats."""
