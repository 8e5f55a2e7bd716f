"""How work is run: settings, pools, devices, the stations of one slide, batches of slides."""
