"""Jobs, devices and compilation."""
