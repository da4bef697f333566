"""Methods that make task vectors sparse before they are added."""
