"""Attribution of each output position."""
