"""What a well-formed spec still gets wrong: fields that contradict each other, and what fits no Pod. Pure."""
