"""Spectra: Welch and multitaper densities, spectrograms, band power, coherence, current-source density."""
