"""``radiens.lib``: what the classic clients return, made from our models. Those of spikes come with spike sorting."""
