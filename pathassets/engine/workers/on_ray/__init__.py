"""Work on a Ray cluster: Ray says where; what a process of it does is as on one machine."""
