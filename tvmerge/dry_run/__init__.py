"""What a run would take, computed before anything is requested, loaded or written."""
