"""What a change of each field of the resource does, as a table. README.md explains the words of its rows."""
