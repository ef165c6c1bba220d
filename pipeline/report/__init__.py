"""What was found, to look at: overlays of phrases on patches, plots, tables and the HTML report."""
