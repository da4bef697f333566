"""What a run needs, before anything is asked, loaded or written."""
