"""From what was asked, applied and observed to the status that users read. Pure: the time comes in as a value."""
