"""Effects of variants: the two alleles in their context, compared by what a model predicts for them."""
