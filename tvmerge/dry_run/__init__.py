"""What a run would take, before anything is asked, loaded or written."""
