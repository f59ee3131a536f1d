"""The local runner on real Ray Serve, and how its apps are asked."""
