"""The page with igv.js.

``igv.min.js`` is that of npm (package ``igv``, version 3.8.10) without its last line, which names a source
map; ``igv.LICENSE`` is its licence (MIT).
"""
