"""Libraries for apps, one folder per language: fixed source that runs a bundle by its contract.json."""
