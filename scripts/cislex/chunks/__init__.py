"""Attribution of a chunk of regions, and their aggregation."""
