"""Sessions: captured before a rig, gone on with, localized, looked into, exported."""
