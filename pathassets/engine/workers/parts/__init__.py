"""Reading in parts: jobs cut for processes that read them side by side, over rings."""
