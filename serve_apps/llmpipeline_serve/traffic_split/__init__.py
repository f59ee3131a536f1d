"""The `trafficSplit` app: shares requests out among other apps of the same Serve, byte for byte."""
