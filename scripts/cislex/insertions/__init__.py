"""In-silico experiments: what motifs do, singly and in pairs, where they are put in or cut out."""
