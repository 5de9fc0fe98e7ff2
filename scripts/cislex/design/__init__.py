"""Design: sequences are edited base by base until a model's prediction rises or falls."""
