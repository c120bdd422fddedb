"""The classic clients: tables that map the older documented API onto the typed clients."""
