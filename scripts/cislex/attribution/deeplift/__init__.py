"""DeepLIFT and DeepSHAP."""
