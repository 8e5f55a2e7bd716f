"""Quality of slides and of their patches: what is measured, and the rules that it is held to."""
