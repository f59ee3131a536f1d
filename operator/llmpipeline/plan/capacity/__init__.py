"""GPU arithmetic: what deployments take, and the worker groups that hold them."""
