"""Methods that are gradients."""
