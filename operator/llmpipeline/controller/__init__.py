"""When to reconcile: events, a queue, a sweep."""
